/** The contract suite against crun or runc with conmon, and what only this runtime can show. */
import { after, before, test } from 'node:test'
import { type OciBench, ociBench, whyNoOci } from '../../support/oci.ts'
import { describeRuntime } from './runtime-contract.ts'
import { describeStreams } from './stream-contract.ts'

const why = whyNoOci()
let bench: OciBench

if (why !== undefined) test('the oci runtime', { skip: why }, () => {})
else {
  before(async () => {
    bench = ociBench()
    await bench.import('docker.io/example/web:1')
  })
  after(() => bench?.remove())
  describeRuntime('oci', {
    open: () => bench.open(),
    exits: { command: ['sh', '-c', 'echo hello; exit 3'], annotations: {} },
    runs: { command: ['sh', '-c', 'trap "exit 143" TERM; while :; do sleep 0.1; done'] },
  })
}
describeStreams('oci', { why, open: () => bench.open(), directory: () => bench.directory })
