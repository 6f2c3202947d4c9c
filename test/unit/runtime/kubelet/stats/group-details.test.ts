import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseGroupDetails } from '../../../../../src/runtime/kubelet/stats/group-details.ts'
import { renderCadvisor } from '../../../../../src/runtime/kubelet/stats/render-cadvisor.ts'

const FIRST = {
  'cpuacct.stat': 'user 150\nsystem 50\n',
  'cpu.stat': 'nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n',
  'memory.stat': 'cache 1\ntotal_cache 4096\ntotal_mapped_file 8\ntotal_swap 0\n',
  'memory.failcnt': '3\n',
  'memory.max_usage_in_bytes': '9000\n',
  'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  'memory.limit_in_bytes': '9223372036854771712\n',
  'blkio.throttle.io_service_bytes_recursive': '8:0 Read 100\n8:0 Write 7\n8:16 Read 1\nTotal 108\n',
  'blkio.throttle.io_serviced_recursive': '8:0 Read 2\n8:0 Write 1\nTotal 3\n',
  'cpu.shares': '102\n',
  'cpu.cfs_quota_us': '20000\n',
  'cpu.cfs_period_us': '100000\n',
  'pids.current': '5\n',
}
const SECOND = {
  'cpu.stat':
    'usage_usec 2000000\nuser_usec 1500000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 2500000\n',
  'memory.stat': 'anon 1\nfile 4096\nfile_mapped 8\n',
  'memory.swap.current': '0\n',
  'memory.peak': '9000\n',
  'memory.events': 'low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\n',
  'memory.max': 'max\n',
  'io.stat': '8:0 rbytes=100 wbytes=7 rios=2 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=0 rios=0 wios=0\n',
  'cpu.weight': '5\n',
  'cpu.max': '20000 100000\n',
  'pids.current': '5\n',
}
const TOLD = {
  ...{ cpuUserSeconds: 1.5, cpuSystemSeconds: 0.5, periods: 10, throttledPeriods: 4, throttledSeconds: 2.5 },
  ...{ cacheBytes: 4_096, mappedBytes: 8, swapBytes: 0, peakBytes: 9_000, limitHits: 3, oomKills: 2 },
  ...{ threads: 5, disk: { readBytes: 101, writtenBytes: 7, reads: 2, writes: 1 }, memoryLimitBytes: 0 },
  ...{ cpuPeriod: 100_000, cpuQuota: 20_000 },
}

test('control groups of both versions tell the same', () => {
  assert.deepEqual(parseGroupDetails(new Map(Object.entries(FIRST))), { ...TOLD, cpuShares: 102 })
  assert.deepEqual(parseGroupDetails(new Map(Object.entries(SECOND))), { ...TOLD, cpuShares: 107 })
})

test('throttling is told of what is limited, and interfaces under their pod', () => {
  const usage = {
    ...{ timeMs: 1_000, cpuNanos: 5e9, workingSetBytes: 1, usageBytes: 2, rssBytes: 3 },
    ...{ pageFaults: 0, majorPageFaults: 0, processes: 1 },
  }
  const labels = { container: 'main', id: '/k/p/c', image: 'i', name: 'c', namespace: 'n', pod: 'p' }
  const details = parseGroupDetails(new Map(Object.entries(FIRST)))
  const counts = { bytes: 9, packets: 1, errors: 0, dropped: 0 }
  const disk = { capacityBytes: 1, availableBytes: 1, inodes: 1, inodesFree: 1 }
  const text = renderCadvisor({
    groups: [
      { labels, usage, details },
      { labels: { ...labels, container: 'free' }, usage, details: { ...details, cpuQuota: 0 } },
    ],
    networks: [{ labels, interfaces: [{ name: 'eth0', received: counts, sent: counts }], timeMs: 2 }],
    node: {
      ...{ timeMs: 1, cpuNanos: 1, memoryBytes: 10, availableBytes: 4, rssBytes: 1, pageFaults: 0 },
      ...{ majorPageFaults: 0, processes: 1, processesMax: 2, network: [], nodeDisk: disk, imageDisk: disk },
    },
    machine: { cpuCount: 2, memoryBytes: 10 },
  })
  assert.match(
    text,
    /^container_cpu_usage_seconds_total\{container="main",cpu="total",id="\/k\/p\/c",.* 5 1000$/m,
  )
  assert.equal(text.match(/^container_cpu_cfs_throttled_periods_total\{/gm)?.length, 1)
  assert.match(text, /^container_network_receive_bytes_total\{.*interface="eth0".*pod="p"\} 9 2$/m)
  assert.match(text, /^container_memory_working_set_bytes\{container="",id="\/",.* 6 1$/m)
  assert.match(text, /^machine_cpu_cores 2$/m)
})
