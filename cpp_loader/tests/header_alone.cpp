// transload.hpp as the only header of a C++17 program.
#include <transload/transload.hpp>

transload::Model open_model(const std::string& path) { return transload::Model::open(path); }
