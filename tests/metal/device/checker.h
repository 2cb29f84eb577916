// Finds races, accesses out of bounds and reads of memory that nothing wrote, from every access of a kernel.
#pragma once
