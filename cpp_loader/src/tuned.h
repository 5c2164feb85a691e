// Variants of a component that `transload tune` made for this very host and runtime; see docs/tuning.md.
#pragma once

#include <string>

#include "ort.h"
#include "package.h"

namespace tl {

// A session on the component's tuned variant, of the user's cache or embedded in the package. Null where there is none,
// or it is damaged, stale, another user's or for another host: the portable variant gives the same answers, so that
// nothing is lost but time.
//
// Looked for only where `settings` leave optimisations and pre-packing on and the device is the CPU.
// Throws Error (usage): the device makes no sense.
ort::Session open_tuned(const Package& package, const std::string& component, const ort::SessionSettings& settings,
                        const OrtEnv& env, const std::string& where);

}  // namespace tl
