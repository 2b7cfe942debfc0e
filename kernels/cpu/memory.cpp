#include "tflbp/memory.h"

#include <cstdio>
#include <cstring>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace tflbp {
namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

#ifdef __linux__
// The number after `key` in a file of lines "key number"; the file's first word for an empty key.
uint64_t number_in(const char* path, const char* key) {
    uint64_t found = kUnknown;
    if (std::FILE* file = std::fopen(path, "r")) {
        char line[256];
        const size_t n = std::strlen(key);
        unsigned long long value = 0;
        while (found == kUnknown && std::fgets(line, sizeof line, file))
            if (std::strncmp(line, key, n) == 0 && std::sscanf(line + n, "%llu", &value) == 1) found = value;
        std::fclose(file);
    }
    return found;
}

// A file of this process's control group (version 2): the limits of containers.
uint64_t of_group(const char* name, const char* key) {
    char line[512], path[700];
    std::FILE* file = std::fopen("/proc/self/cgroup", "r");
    bool found = false;
    if (!file) return kUnknown;
    while (!found && std::fgets(line, sizeof line, file)) found = std::strncmp(line, "0::", 3) == 0;
    std::fclose(file);
    if (!found) return kUnknown;
    line[std::strcspn(line, "\n")] = 0;
    std::snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", line + 3, name);
    return number_in(path, key);
}
#endif

}  // namespace

uint64_t memory_total() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t total = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : kUnknown;
#else
    uint64_t total = kUnknown;
#endif
#ifdef __linux__
    const uint64_t most = of_group("memory.max", "");  // "max", no number, where there is no limit
    if (most < total) total = most;
#endif
    return total;
}

uint64_t memory_available() {
    uint64_t free = kUnknown;
#ifdef __linux__
    free = number_in("/proc/meminfo", "MemAvailable:");
    if (free != kUnknown) free *= 1024;
    const uint64_t most = of_group("memory.max", ""), used = of_group("memory.current", "");
    if (most != kUnknown && used != kUnknown) {
        const uint64_t files = of_group("memory.stat", "inactive_file ");  // given up first
        const uint64_t held = files != kUnknown && files < used ? used - files : used;
        const uint64_t rest = held < most ? most - held : 0;
        if (rest < free) free = rest;
    }
#endif
    return free;
}

}  // namespace tflbp
