// A vector with room for N elements inside itself: shapes, strides and node inputs rarely need the heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace funcnn {

template <class T, size_t N>
class SmallVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() noexcept : data_(inline_data()) {
    if constexpr (copies_whole_) std::memset(storage_, 0, sizeof(storage_));
  }
  explicit SmallVector(size_t size, const T& value = T()) : SmallVector() { resize(size, value); }
  SmallVector(std::initializer_list<T> values) : SmallVector(values.begin(), values.end()) {}
  template <std::input_iterator It>
  SmallVector(It first, It last) : SmallVector() {
    if constexpr (std::forward_iterator<It>) {
      auto count = size_t(std::distance(first, last));
      reserve(count);
      std::uninitialized_copy(first, last, data_);
      size_ = uint32_t(count);
    } else {
      for (; first != last; ++first) push_back(*first);
    }
  }
  explicit SmallVector(std::span<const T> values) : SmallVector(values.begin(), values.end()) {}
  SmallVector(const SmallVector& other) : SmallVector() {
    if (copies_whole_ && other.is_inline()) {
      copy_whole(other);
      return;
    }
    reserve(other.size_);
    std::uninitialized_copy(other.begin(), other.end(), data_);
    size_ = other.size_;
  }
  SmallVector(SmallVector&& other) noexcept : SmallVector() { take(other); }
  ~SmallVector() { destroy(); }

  SmallVector& operator=(const SmallVector& other) {
    if (copies_whole_ && is_inline() && other.is_inline()) {
      if (this != &other) copy_whole(other);
    } else if (this != &other) {
      SmallVector copy(other);
      destroy();
      reset();
      take(copy);
    }
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      destroy();
      reset();
      take(other);
    }
    return *this;
  }

  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  T& operator[](size_t i) noexcept { return data_[i]; }
  const T& operator[](size_t i) const noexcept { return data_[i]; }
  T& back() noexcept { return data_[size_ - 1]; }
  const T& back() const noexcept { return data_[size_ - 1]; }
  T& front() noexcept { return data_[0]; }
  const T& front() const noexcept { return data_[0]; }
  iterator begin() noexcept { return data_; }
  iterator end() noexcept { return data_ + size_; }
  const_iterator begin() const noexcept { return data_; }
  const_iterator end() const noexcept { return data_ + size_; }
  auto rbegin() const noexcept { return std::make_reverse_iterator(end()); }
  auto rend() const noexcept { return std::make_reverse_iterator(begin()); }
  operator std::span<const T>() const noexcept { return {data_, size_}; }

  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    T* grown = std::allocator<T>().allocate(capacity);
    std::uninitialized_move(begin(), end(), grown);
    std::destroy(begin(), end());
    if (!is_inline()) std::allocator<T>().deallocate(data_, capacity_);
    data_ = grown;
    capacity_ = uint32_t(capacity);
  }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) {
      T value(std::forward<Args>(args)...);  // an argument may live in this vector
      reserve(size_t(capacity_) * 2);
      return *new (data_ + size_++) T(std::move(value));
    }
    return *new (data_ + size_++) T(std::forward<Args>(args)...);
  }
  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  void pop_back() noexcept { data_[--size_].~T(); }
  void clear() noexcept {
    std::destroy(begin(), end());
    size_ = 0;
  }
  void resize(size_t size, const T& value = T()) {
    while (size_ > size) pop_back();
    if (size_ == size) return;
    reserve(size);
    std::uninitialized_fill(data_ + size_, data_ + size, value);
    size_ = uint32_t(size);
  }
  iterator insert(const_iterator where, const T& value) {
    size_t index = size_t(where - data_);
    emplace_back(value);
    for (size_t i = size_ - 1; i > index; --i) std::swap(data_[i], data_[i - 1]);
    return data_ + index;
  }
  iterator erase(const_iterator where) {
    size_t index = size_t(where - data_);
    for (size_t i = index; i + 1 < size_; ++i) data_[i] = std::move(data_[i + 1]);
    pop_back();
    return data_ + index;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    if (a.size_ != b.size_) return false;
    for (size_t i = 0; i < a.size_; ++i)
      if (!(a.data_[i] == b.data_[i])) return false;
    return true;
  }

 private:
  T* inline_data() noexcept { return reinterpret_cast<T*>(storage_); }
  bool is_inline() const noexcept { return data_ == reinterpret_cast<const T*>(storage_); }
  void destroy() noexcept {
    std::destroy(begin(), end());
    if (!is_inline()) std::allocator<T>().deallocate(data_, capacity_);
  }
  void reset() noexcept {
    data_ = inline_data();
    size_ = 0;
    capacity_ = N;
  }
  void take(SmallVector& other) noexcept {
    if (other.is_inline() && copies_whole_) {
      copy_whole(other);
      other.size_ = 0;
    } else if (other.is_inline()) {
      std::uninitialized_move(other.begin(), other.end(), data_);
      size_ = other.size_;
      other.clear();
    } else {
      data_ = other.data_;
      size_ = other.size_;
      capacity_ = other.capacity_;
      other.reset();
    }
  }

  // Few bytes are copied faster than their number is looked at.
  static constexpr bool copies_whole_ = std::is_trivially_copyable_v<T> && N * sizeof(T) <= 64;
  void copy_whole(const SmallVector& other) noexcept {
    std::memcpy(storage_, other.storage_, sizeof(storage_));
    size_ = other.size_;
  }

  T* data_;
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  alignas(T) std::byte storage_[N * sizeof(T)];
};

}  // namespace funcnn
