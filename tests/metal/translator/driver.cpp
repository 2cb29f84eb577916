#include "driver.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "compile.h"
#include "process.h"

namespace software_metal {
namespace {

using Arguments = std::vector<std::string>;

// Of a line of what -### prints: "a" "b\"c"
Arguments quoted_words(const std::string& line) {
  Arguments words;
  bool inside = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (!inside) words.emplace_back();
      inside = !inside;
    } else if (inside) {
      if (line[i] == '\\' && i + 1 < line.size()) ++i;
      words.back() += line[i];
    }
  }
  return words;
}

Arguments with(Arguments arguments, const std::string& name, const std::string& other) {
  std::replace(arguments.begin(), arguments.end(), name, other);
  return arguments;
}

}  // namespace

Driver::Driver(Arguments command) : whole_(std::move(command)) {
  Arguments asked = whole_;
  asked.push_back("-###");
  std::istringstream lines(run_process(asked, "").output);
  std::vector<Arguments> commands;
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(" \"", 0) == 0) commands.push_back(quoted_words(line));
  if (commands.size() != 2) return;  // another order of things: clang does it
  auto output = std::find(commands[0].begin(), commands[0].end(), "-o");
  if (output == commands[0].end() || output + 1 == commands[0].end()) return;
  object_ = output[1];
  compile_ = std::move(commands[0]);
  link_ = std::move(commands[1]);
}

// Whether the resident compiler could.
bool Driver::compile(const std::string& program, const std::string& shim, const std::string& object) const {
  std::shared_ptr<Resident> resident;
  {
    std::lock_guard lock(starting_);
    if (!resident_ || resident_->ended())
      resident_ = std::make_shared<Resident>(with(with(compile_, kShim, shim), object_, "-"), program);
    resident = resident_;
  }
  return resident->compile(program, object);
}

void Driver::run(const std::string& program, const std::string& shim, const std::string& output) const {
  const std::string object = output + ".o";
  Finished done{true, ""};
  if (compile_.empty()) {
    done = run_process(with(with(whole_, kShim, shim), kOutput, output), program);
  } else {
    // What is wrong with a program, a compiler of its own tells.
    if (!compile(program, shim, object))
      done = run_process(with(with(compile_, kShim, shim), object_, object), program);
    if (done.ok) done = run_process(with(with(link_, object_, object), kOutput, output), "");
    unlink(object.c_str());
  }
  if (!done.ok) throw CompileError(done.output);
}

}  // namespace software_metal
