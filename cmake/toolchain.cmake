# SPDX-License-Identifier: Apache-2.0
# Compiler flags, ccache and mold where present. Warnings are errors everywhere.
add_compile_options(-Wall -Wextra -Wpedantic -Werror -Wnon-virtual-dtor -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12's own std::stable_sort uses what it deprecates.
  add_compile_options(-Wshadow-uncaptured-local -Wno-deprecated-declarations)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wshadow=local)
  # False positives of g++ 12 at -O1 and above (libstdc++ strings and variants).
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overflow
                      -Wno-stringop-overread -Wno-array-bounds -Wno-missing-field-initializers)
else()
  add_compile_options(-Wno-missing-field-initializers -Wno-missing-designated-field-initializers)
endif()

find_program(PELTON_CCACHE ccache)
if(PELTON_CCACHE)
  # The same source in another checkout is a hit.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros ${PELTON_CCACHE})
endif()
find_program(PELTON_MOLD mold)
if(PELTON_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

if(PELTON_SANITIZE)
  add_compile_options(-fsanitize=${PELTON_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PELTON_SANITIZE})
endif()
