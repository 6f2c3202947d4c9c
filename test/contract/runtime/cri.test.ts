/** The contract suite against a real containerd, and what only real containers can show. */
import { after, before, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { busyboxImage } from '../../../src/runtime/images/busybox-image.ts'
import { importArchive } from '../../../src/runtime/images/import-archive.ts'
import { CriRuntime } from '../../../src/runtime/kubelet/runtime/cri/cri-runtime.ts'
import {
  architecture,
  startTestContainerd,
  type TestContainerd,
  whyNoContainers,
} from '../../support/containerd.ts'
import { describeRuntime } from './runtime-contract.ts'
import { describeStreams } from './stream-contract.ts'

const why = whyNoContainers()
let bench: TestContainerd

const openRuntime = () =>
  new CriRuntime({
    socketPath: bench.socketPath,
    nodeId: bench.nodeId,
    clock: systemClock,
    log: silentLog,
  })

if (why !== undefined) test('the CRI runtime', { skip: why }, () => {})
else {
  before(async () => {
    bench = await startTestContainerd()
    const archive = await busyboxImage('docker.io/example/web:1', architecture())
    await importArchive(bench.socketPath, { archive })
  })
  after(() => bench?.remove())
  describeRuntime('cri', {
    open: openRuntime,
    exits: { command: ['sh', '-c', 'echo hello; exit 3'], annotations: {} },
    runs: { command: ['sh', '-c', 'trap "exit 143" TERM; while :; do sleep 0.1; done'] },
  })
}

describeStreams('cri', { why, open: openRuntime, directory: () => bench.directory })
