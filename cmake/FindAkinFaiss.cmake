# AkinFaiss::faiss: FAISS and its C API as tools/faiss builds them.
#
# Looked for in -DAKIN_FAISS_PREFIX=DIR, then $AKIN_FAISS_PREFIX, then where
# tools/faiss says that it put it (its cache).
set(AKIN_FAISS_PREFIX "" CACHE PATH "an installed FAISS with its C API; empty: the one tools/faiss built")

set(_prefix "${AKIN_FAISS_PREFIX}")
if(NOT _prefix)
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../tools/faiss --prefix
    OUTPUT_VARIABLE _prefix OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE _missing)
endif()
if(NOT EXISTS "${_prefix}/include/faiss/Index.h")
  message(FATAL_ERROR "FAISS is not built yet (looked in ${_prefix}): run tools/setup, or name an "
    "installed one with -DAKIN_FAISS_PREFIX=DIR")
endif()

find_library(_faiss_c NAMES faiss_c PATHS ${_prefix}/lib NO_DEFAULT_PATH NO_CACHE)
find_library(_faiss NAMES faiss_avx512 faiss_avx2 faiss PATHS ${_prefix}/lib NO_DEFAULT_PATH NO_CACHE)
if(NOT _faiss_c OR NOT _faiss)
  message(FATAL_ERROR "${_prefix}/lib holds no libfaiss_c and libfaiss")
endif()
find_package(OpenMP REQUIRED COMPONENTS CXX)
set(BLA_VENDOR OpenBLAS)
find_package(LAPACK REQUIRED)

if(NOT TARGET AkinFaiss::faiss)
  add_library(AkinFaiss::faiss INTERFACE IMPORTED GLOBAL)
  # as system headers: their warnings are not ours
  set_target_properties(AkinFaiss::faiss PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_prefix}/include"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${_prefix}/include"
    INTERFACE_LINK_LIBRARIES "${_faiss_c};${_faiss};LAPACK::LAPACK;OpenMP::OpenMP_CXX;stdc++;m")
  if(_faiss MATCHES "\\.so$")
    set_property(TARGET AkinFaiss::faiss APPEND PROPERTY INTERFACE_LINK_OPTIONS "LINKER:-rpath,${_prefix}/lib")
  endif()
endif()
message(STATUS "FAISS: ${_prefix}")
