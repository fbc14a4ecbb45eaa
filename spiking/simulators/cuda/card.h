// What the kernel needs beyond CUDA itself.

#define SHARED_MEMORY extern __shared__ unsigned long long shared_memory[];
