/* transload.h as the only header of a C99 program. */
#include <transload/transload.h>

const char* loader_version(void) { return tl_version(); }
