# Writes the gallery's files as a C source: cmake -DDIR=... -DOUT=... -P embed.cmake
set(types html "text/html; charset=utf-8" css "text/css; charset=utf-8"
    js "text/javascript; charset=utf-8" svg "image/svg+xml" webmanifest "application/manifest+json")
set(arrays "")
set(rows "")
set(i 0)
file(GLOB files ${DIR}/*.html ${DIR}/*.css ${DIR}/*.js ${DIR}/*.svg ${DIR}/*.webmanifest)
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 extension)
  list(FIND types ${extension} at)
  math(EXPR at "${at} + 1")
  list(GET types ${at} type)
  file(READ ${file} hex HEX)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 32 hash)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file_${i}[] = {\n${bytes}};\n")
  string(APPEND rows "    {\"${name}\", \"${type}\", \"${hash}\", file_${i}, sizeof file_${i}},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUT} "/* Made by api/gallery/embed.cmake. */
#include \"http_gallery.h\"

${arrays}
static const akin_gallery_file files[] = {
${rows}};

const akin_gallery_file *akin__gallery_files(size_t *n)
{
    *n = sizeof files / sizeof *files;
    return files;
}
")
