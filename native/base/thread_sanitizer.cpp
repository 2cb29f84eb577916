// The thread sanitizer of GCC 12 does not see pthread_mutex_clocklock, by which std::timed_mutex waits, and takes a
// lock acquired so for none. It sees pthread_mutex_timedlock.
#if defined(__SANITIZE_THREAD__) && defined(__linux__)
#include <pthread.h>
#include <time.h>

extern "C" int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* until) noexcept {
  constexpr long kSecond = 1'000'000'000;
  timespec now, real;
  clock_gettime(clock, &now);
  clock_gettime(CLOCK_REALTIME, &real);
  long nanoseconds = real.tv_nsec + until->tv_nsec - now.tv_nsec;
  real.tv_sec += until->tv_sec - now.tv_sec + (nanoseconds < 0 ? -1 : nanoseconds / kSecond);
  real.tv_nsec = (nanoseconds + kSecond) % kSecond;
  return pthread_mutex_timedlock(mutex, &real);
}
#endif
