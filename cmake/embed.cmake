# SPDX-License-Identifier: Apache-2.0
# cmake -D INPUT=file -D OUTPUT=x.cc -D NAME=kName -P embed.cmake: the bytes of a file as C++.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUTPUT} "#include \"launch/python_package_bytes.h\"\n\nnamespace pelton::launch {\n"
     "const unsigned char ${NAME}[] = {\n${bytes}\n};\n"
     "const size_t ${NAME}Bytes = sizeof(${NAME});\n}  // namespace pelton::launch\n")
