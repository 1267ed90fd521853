# SPDX-License-Identifier: Apache-2.0
# One static library per folder of src/. It publishes only its own include root (a directory that
# holds one link, FOLDER -> src/FOLDER), so that an include against the arrows does not compile.
include(CTest)
if(PELTON_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
  find_library(RAPIDCHECK rapidcheck REQUIRED)
endif()

# pelton_folder(NAME USES folders... SYSTEM libraries... TEST_USES folders...)
#   USES:      folders that the library's sources and headers may include (transitive).
#   SYSTEM:    targets or libraries from outside, linked privately.
#   TEST_USES: folders that only the tests beside the code may include.
function(pelton_folder name)
  cmake_parse_arguments(ARG "" "" "USES;SYSTEM;TEST_USES" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  if(NOT EXISTS ${dir})
    return()
  endif()
  # Of the folders named, those that exist: the table may run ahead of the tree.
  foreach(list USES TEST_USES)
    set(present)
    foreach(use IN LISTS ARG_${list})
      if(EXISTS ${CMAKE_SOURCE_DIR}/src/${use})
        list(APPEND present ${use})
      endif()
    endforeach()
    set(ARG_${list} ${present})
  endforeach()
  set(root ${CMAKE_BINARY_DIR}/roots/${name})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${dir} ${root}/${name} SYMBOLIC)

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cc)
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|_bench|/main)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")

  set(uses ${ARG_USES})
  list(TRANSFORM uses PREPEND "pelton_")
  if(sources)
    add_library(pelton_${name} STATIC ${sources})
    target_include_directories(pelton_${name} PUBLIC ${root})
    target_link_libraries(pelton_${name} PUBLIC ${uses} PRIVATE ${ARG_SYSTEM})
  else()
    add_library(pelton_${name} INTERFACE)
    target_include_directories(pelton_${name} INTERFACE ${root})
    target_link_libraries(pelton_${name} INTERFACE ${uses})
  endif()

  if(PELTON_TESTS AND tests)
    set(test_uses ${ARG_TEST_USES})
    list(TRANSFORM test_uses PREPEND "pelton_")
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE pelton_${name} ${test_uses} ${ARG_SYSTEM}
                          GTest::gtest GTest::gmock GTest::gtest_main ${RAPIDCHECK})
    add_test(NAME unit.${name} COMMAND ${name}_test --gtest_brief=1
             WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 600)
  endif()

  if(PELTON_FUZZ)
    if(NOT TARGET fuzzers)
      add_custom_target(fuzzers)  # only what they need, not the rest of the tree
    endif()
    foreach(source IN LISTS fuzzers)
      get_filename_component(fuzzer ${source} NAME_WE)
      add_executable(${fuzzer} ${source})
      target_link_libraries(${fuzzer} PRIVATE pelton_${name} ${ARG_SYSTEM})
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
      add_dependencies(fuzzers ${fuzzer})
    endforeach()
  endif()
endfunction()
