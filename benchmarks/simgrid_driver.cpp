// One flow case through SimGrid's S4U interface: ./simgrid_driver case.bin out.bin [--cfg=...]
// Every flow is an actor that sleeps for its delay and sends; it is created when all that it waits for has finished. Links
// have latency 0 in the platform: the delay, the sum of the latencies, is slept before, since latencies bias the shares.
#include <simgrid/s4u.hpp>
#include <simgrid/version.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace sg = simgrid::s4u;

template <class T> std::vector<T> read_column(FILE* file, size_t length)
{
  std::vector<T> values(length);
  if (length && fread(values.data(), sizeof(T), length, file) != length)
    exit(3);
  return values;
}

int main(int argc, char** argv)
{
  sg::Engine engine(&argc, argv); // takes the --cfg options away
  FILE* file = argc == 3 ? fopen(argv[1], "rb") : nullptr;
  int64_t head[6];
  if (!file || fread(head, sizeof(int64_t), 6, file) != 6)
    return 3;
  const size_t links = head[2], flows = head[3], entries = head[4], waits = head[5];
  read_column<int32_t>(file, 2 * links); // ends of the links: the routes say all
  auto bandwidth = read_column<double>(file, links), latency = read_column<double>(file, links);
  auto source = read_column<int32_t>(file, flows), target = read_column<int32_t>(file, flows);
  auto bytes = read_column<double>(file, flows), start = read_column<double>(file, flows);
  auto route_ptr = read_column<int64_t>(file, flows + 1);
  auto route = read_column<int32_t>(file, entries);
  auto wait_ptr = read_column<int64_t>(file, flows + 1);
  auto wait_ids = read_column<int32_t>(file, waits);
  fclose(file);

  auto* zone = sg::create_full_zone("zone");
  std::vector<const sg::Link*> link(links);
  for (size_t k = 0; k < links; k++)
    link[k] = zone->create_link("l" + std::to_string(k), bandwidth[k])->set_latency(0)->seal();
  std::map<std::pair<int, int>, sg::Host*> hosts; // node, and a number where a pair of nodes has several routes
  auto host = [&](int node, int number) {
    auto& found = hosts[{node, number}];
    if (!found)
      found = zone->create_host("h" + std::to_string(node) + "_" + std::to_string(number), 1e9)->seal();
    return found;
  };
  std::map<std::pair<int, int>, std::vector<std::vector<int>>> known;
  std::vector<sg::Host*> from(flows), to(flows);
  std::vector<double> delay(flows, 0), finish(flows, -1);
  for (size_t f = 0; f < flows; f++) {
    std::vector<int> path(route.begin() + route_ptr[f], route.begin() + route_ptr[f + 1]);
    for (int k : path)
      delay[f] += latency[k];
    auto& paths = known[{source[f], target[f]}];
    int number  = std::find(paths.begin(), paths.end(), path) - paths.begin();
    from[f] = host(source[f], number);
    to[f]   = host(target[f], 0);
    if (number == static_cast<int>(paths.size())) {
      paths.push_back(path);
      std::vector<sg::LinkInRoute> hops;
      for (int k : path)
        hops.emplace_back(link[k]);
      zone->add_route(from[f]->get_netpoint(), to[f]->get_netpoint(), nullptr, nullptr, hops, false);
    }
  }
  zone->seal();

  std::vector<std::vector<int>> after(flows);
  std::vector<int64_t> left(flows);
  for (size_t f = 0; f < flows; f++) {
    left[f] = wait_ptr[f + 1] - wait_ptr[f];
    for (int64_t i = wait_ptr[f]; i < wait_ptr[f + 1]; i++)
      after[wait_ids[i]].push_back(f);
  }
  std::function<void(size_t)> begin;
  begin = [&](size_t f) {
    sg::Actor::create("f", from[f], [&, f] {
      sg::this_actor::sleep_until(std::max(start[f], sg::Engine::get_clock()) + delay[f]);
      sg::Comm::sendto_async(from[f], to[f], bytes[f])->wait();
      finish[f] = sg::Engine::get_clock();
      for (int other : after[f])
        if (--left[other] == 0)
          begin(other);
    });
  };
  auto started = std::chrono::steady_clock::now();
  for (size_t f = 0; f < flows; f++)
    if (left[f] == 0)
      begin(f);
  engine.run();
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  FILE* out = fopen(argv[2], "wb");
  if (!out || fwrite(finish.data(), sizeof(double), flows, out) != flows)
    return 4;
  fclose(out);
  printf("{\"sim_s\": %.6f, \"version\": \"%d.%d\"}\n", took.count(), SIMGRID_VERSION_MAJOR, SIMGRID_VERSION_MINOR);
  return 0;
}
