// The name of a table in the compilation for one instruction set; FUNCNN_OF_ACTIVE_SET chooses among those
// (instruction_set.h).
#pragma once

#define FUNCNN_JOIN_(a, b) a##b
#define FUNCNN_JOIN(a, b) FUNCNN_JOIN_(a, b)
#define FUNCNN_OF_THIS_SET(name) FUNCNN_JOIN(name, FUNCNN_ISA)
