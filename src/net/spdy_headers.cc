// SPDX-License-Identifier: Apache-2.0
#include "net/spdy_headers.h"

#include <zlib.h>

#include <array>

namespace pelton::net {
namespace {

constexpr size_t kMaxBlock = 64 * 1024;
constexpr size_t kPiece = 4096;

void put_u32(std::string& out, size_t value) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(value >> shift & 0xff));
}

/// The dictionary of SPDY/3: words with their lengths before them, then text without.
std::string make_dictionary() {
  constexpr std::string_view kWords =
      "options head post put delete trace accept accept-charset accept-encoding accept-language "
      "accept-ranges age allow authorization cache-control connection content-base "
      "content-encoding content-language content-length content-location content-md5 "
      "content-range content-type date etag expect expires from host if-match if-modified-since "
      "if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
      "proxy-authenticate proxy-authorization range referer retry-after server te trailer "
      "transfer-encoding upgrade user-agent vary via warning www-authenticate method get status "
      "200_OK version HTTP/1.1 url public set-cookie keep-alive origin";
  constexpr std::string_view kText =
      "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
      "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
      "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
      "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
      "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
      "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
      "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
  std::string dictionary;
  for (const std::string_view word : base::split(kWords, ' ')) {
    put_u32(dictionary, word.size());
    dictionary += word == "200_OK" ? "200 OK" : word;
  }
  dictionary += kText;
  return dictionary;
}

const std::string& dictionary() {
  static const std::string text = make_dictionary();
  return text;
}

Bytef* as_bytes(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

/// Takes numbers and texts off the front of a block.
struct BlockReader {
  std::string_view rest;
  std::optional<size_t> number() {
    if (rest.size() < 4) return std::nullopt;
    size_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(rest[size_t(i)]);
    rest.remove_prefix(4);
    return value;
  }
  std::optional<std::string> text() {
    const auto size = number();
    if (!size || *size > rest.size()) return std::nullopt;
    std::string text(rest.substr(0, *size));
    rest.remove_prefix(*size);
    return text;
  }
};

std::optional<Headers> parse_block(std::string_view block) {
  BlockReader reader{block};
  const auto count = reader.number();
  if (!count) return std::nullopt;
  Headers headers;
  for (size_t i = 0; i < *count; ++i) {  // ends with the block at the latest
    auto name = reader.text();
    auto value = reader.text();
    if (!name || name->empty() || !value) return std::nullopt;
    headers.add(std::move(*name), std::move(*value));
  }
  if (!reader.rest.empty()) return std::nullopt;
  return headers;
}

}  // namespace

struct SpdyHeaderReader::State {
  z_stream stream{};
};

SpdyHeaderReader::SpdyHeaderReader() : state_(std::make_unique<State>()) {
  PELTON_CHECK(inflateInit(&state_->stream) == Z_OK);
}

SpdyHeaderReader::~SpdyHeaderReader() {
  inflateEnd(&state_->stream);
}

std::optional<Headers> SpdyHeaderReader::read(std::string_view block) {
  z_stream& stream = state_->stream;
  std::string text;
  std::array<char, kPiece> piece;
  stream.next_in = as_bytes(block);
  stream.avail_in = static_cast<uInt>(block.size());
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    int result = inflate(&stream, Z_SYNC_FLUSH);
    if (result == Z_NEED_DICT) {
      result = inflateSetDictionary(&stream, as_bytes(dictionary()),
                                    static_cast<uInt>(dictionary().size()));
      if (result == Z_OK) continue;
    }
    text.append(piece.data(), piece.size() - stream.avail_out);
    // No progress is possible where all was read exactly at the end of a piece.
    const bool is_at_end = result == Z_BUF_ERROR && stream.avail_in == 0;
    if ((result != Z_OK && !is_at_end) || text.size() > kMaxBlock) return std::nullopt;
  } while (stream.avail_in > 0 || stream.avail_out == 0);
  return parse_block(text);
}

struct SpdyHeaderWriter::State {
  z_stream stream{};
};

SpdyHeaderWriter::SpdyHeaderWriter() : state_(std::make_unique<State>()) {
  PELTON_CHECK(deflateInit(&state_->stream, Z_DEFAULT_COMPRESSION) == Z_OK);
  PELTON_CHECK(deflateSetDictionary(&state_->stream, as_bytes(dictionary()),
                                    static_cast<uInt>(dictionary().size())) == Z_OK);
}

SpdyHeaderWriter::~SpdyHeaderWriter() {
  deflateEnd(&state_->stream);
}

std::string SpdyHeaderWriter::write(const Headers& headers) {
  std::string block;
  put_u32(block, headers.fields().size());
  for (const auto& [name, value] : headers.fields()) {
    put_u32(block, name.size());
    block += base::to_lower(name);
    put_u32(block, value.size());
    block += value;
  }
  z_stream& stream = state_->stream;
  stream.next_in = as_bytes(block);
  stream.avail_in = static_cast<uInt>(block.size());
  std::string out;
  std::array<char, kPiece> piece;
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    deflate(&stream, Z_SYNC_FLUSH);
    out.append(piece.data(), piece.size() - stream.avail_out);
  } while (stream.avail_out == 0);
  return out;
}

}  // namespace pelton::net
