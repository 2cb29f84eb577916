#include "library.h"

#include "../translator/compile.h"

namespace software_metal {
namespace {

constexpr const char* kDomain = "MTLLibraryErrorDomain";

Function* function_named(Library* library, const String* name, const Constants& constants, Error** error) {
  try {
    std::shared_ptr<Module> module = constants.empty() ? library->module : Module::load(library->path, constants);
    const Kernel* kernel = module->find(text_of(name));
    if (kernel) return new Function(std::move(module), kernel);
    give_error(error, kDomain, 5, "there is no kernel called " + text_of(name));
  } catch (const std::exception& failure) {
    give_error(error, kDomain, 3, failure.what());
  }
  return nullptr;
}

// Bytes of a value of an MTLDataType.
size_t size_of_type(Unsigned type) {
  switch (type) {
    case 3:   // float
    case 29:  // int
    case 33:  // uint
      return 4;
    case 16:   // half
    case 37:   // short
    case 41:   // ushort
    case 121:  // bfloat
      return 2;
    case 45:  // char
    case 49:  // uchar
    case 53:  // bool
      return 1;
    case 81:  // long
    case 85:  // ulong
      return 8;
  }
  misuse("setConstantValue: with the MTLDataType " + std::to_string(type) + ", which is no scalar");
}

const Class& constants_class() {
  static const Class* made =
      &(new Class("MTLFunctionConstantValues", &object_class()))
           ->class_method("alloc", [](Class* self, Selector) { return new FunctionConstants(*self); })
           .method("setConstantValue:type:atIndex:",
                   [](FunctionConstants* self, Selector, const unsigned char* value, Unsigned type, Unsigned index) {
                     self->values[unsigned(index)].assign(value, value + size_of_type(type));
                   });
  return *made;
}

const Class& function_class() {
  static const Class* made = &(new Class("MTLFunction", &object_class()))->method("name", [](Function* self, Selector) {
    return autoreleased(new String(self->kernel->name));
  });
  return *made;
}

const Class& library_class() {
  static const Class* made =
      &(new Class("MTLLibrary", &object_class()))
           ->method("newFunctionWithName:",
                    [](Library* self, Selector, String* name) { return function_named(self, name, {}, nullptr); })
           .method("newFunctionWithName:constantValues:error:",
                   [](Library* self, Selector, String* name, FunctionConstants* constants, Error** error) {
                     return function_named(self, name, constants ? constants->values : Constants{}, error);
                   })
           .method("functionNames", [](Library* self, Selector) {
             std::vector<Ref<Object>> names;
             for (const std::string& name : self->module->names()) names.push_back(adopt<Object>(new String(name)));
             return autoreleased(new Array(std::move(names)));
           });
  return *made;
}

const Class& pipeline_class() {
  static const Class* made =
      &(new Class("MTLComputePipelineState", &object_class()))
           ->method("maxTotalThreadsPerThreadgroup",
                    [](Pipeline* self, Selector) {
                      unsigned most = self->kernel->most_threads;
                      return Unsigned(most ? most : kMostThreads);
                    })
           .method("threadExecutionWidth", [](Pipeline*, Selector) { return Unsigned(kLanes); })
           .method("staticThreadgroupMemoryLength", [](Pipeline*, Selector) { return Unsigned(0); });
  return *made;
}

const bool registered = (constants_class(), function_class(), library_class(), pipeline_class(), true);

}  // namespace

Function::Function(std::shared_ptr<Module> module, const Kernel* kernel)
    : Object(function_class()), module(std::move(module)), kernel(kernel) {}
Library::Library(std::string path) : Object(library_class()), path(std::move(path)), module(Module::load(this->path)) {}
Pipeline::Pipeline(const Function& function)
    : Object(pipeline_class()), module(function.module), kernel(function.kernel) {}

Library* compile_library(const String* source, const CompileOptions* options, Error** error) {
  CompileRequest request;
  request.source = text_of(source);
  if (options) {
    request.language = unsigned(options->language);
    request.fast_math = options->fast_math && options->math_mode != 0;
  }
  try {
    return new Library(compile(request));
  } catch (const std::exception& failure) {
    give_error(error, kDomain, 3, failure.what());
    return nullptr;
  }
}

}  // namespace software_metal
