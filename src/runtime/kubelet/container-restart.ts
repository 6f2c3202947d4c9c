/** Whether a container that has ended is started again (pure): its rules, its own policy, its pod's. */
import type { Container, Pod } from '../../kube/types.ts'
import type { ContainerStatus } from './runtime/runtime.ts'

export type AfterExit = 'stay' | 'restart' | 'restart-all'

/** What a container that could not be started is said to have ended with. */
const NEVER_STARTED = 128

type Ended = Pick<ContainerStatus, 'state' | 'exitCode'>
type Rule = NonNullable<Container['restartPolicyRules']>[number]

export function afterExit(container: Container, { spec }: Pick<Pod, 'spec'>, ended: Ended): AfterExit {
  const exitCode = ended.state === 'exited' ? ended.exitCode : NEVER_STARTED
  const rule = (container.restartPolicyRules ?? []).find(each => matches(each, exitCode))
  if (rule !== undefined) return rule.action === 'RestartAllContainers' ? 'restart-all' : 'restart'
  const policy = container.restartPolicy ?? spec?.restartPolicy ?? 'Always'
  const restarts = policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
  return restarts ? 'restart' : 'stay'
}

function matches({ exitCodes }: Rule, exitCode: number): boolean {
  if (!exitCodes) return false
  const isIn = (exitCodes.values ?? []).includes(exitCode)
  return exitCodes.operator === 'In' ? isIn : !isIn
}

/** An ordinary init container is not started again once it has done its work. */
export function initAfterExit(init: Container, pod: Pick<Pod, 'spec'>, ended: Ended): AfterExit | 'done' {
  if (ended.state === 'exited' && ended.exitCode === 0) return 'done'
  if (init.restartPolicy !== undefined || init.restartPolicyRules) return afterExit(init, pod, ended)
  return pod.spec?.restartPolicy === 'Never' ? 'stay' : 'restart'
}

/** The last end of a container whose rule starts the whole pod again. */
export function restartOfAll(
  pod: Pick<Pod, 'spec'>,
  containers: readonly ContainerStatus[],
): ContainerStatus | undefined {
  const specs = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
  const ends = containers.filter(ended => {
    const spec = specs.find(({ name }) => name === ended.name)
    return spec !== undefined && ended.state === 'exited' && afterExit(spec, pod, ended) === 'restart-all'
  })
  return ends.toSorted((a, b) => b.finishedAt - a.finishedAt)[0]
}
