/** The contract suite against the simulated runtime. */
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { SimulatedRuntime } from '../../../src/runtime/kubelet/runtime/simulated/simulated-runtime.ts'
import { describeRuntime } from './runtime-contract.ts'

describeRuntime('simulated', {
  open: () =>
    new SimulatedRuntime({
      clock: systemClock,
      random: systemRandom,
    }),
  exits: {
    command: ['anything'],
    annotations: {
      'simulated.mk8s.io/run-for-ms': '5',
      'simulated.mk8s.io/exit-code': '3',
      'simulated.mk8s.io/log': 'hello',
    },
  },
  runs: { command: ['anything'] },
})
