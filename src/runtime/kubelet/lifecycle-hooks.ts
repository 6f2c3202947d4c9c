/** postStart and preStop: a program in the container, an HTTP request, or a pause. */
import { sleep } from '../../base/clock.ts'
import type { Container, LifecycleHandler } from '../../kube/types.ts'
import type { PodContext } from './pod-context.ts'
import { httpGet } from './probes/http-get.ts'

export interface HookTarget {
  readonly container: Container
  readonly containerId: string
  readonly podAddress: string
  readonly timeoutMs: number
}

/** Rejects when the hook fails or takes too long. */
export async function runHook(
  handler: LifecycleHandler,
  target: HookTarget,
  { runtime, clock }: Pick<PodContext, 'runtime' | 'clock'>,
): Promise<void> {
  if (handler.sleep) return sleep(clock, Math.min(handler.sleep.seconds * 1_000, target.timeoutMs))
  if (handler.exec) {
    const command = handler.exec.command ?? []
    const result = await runtime.exec(target.containerId, command, { timeoutMs: target.timeoutMs })
    if (result.exitCode === 0) return
    const output = `${result.stdout}${result.stderr}`.slice(0, 1_024)
    throw new Error(`command '${command.join(' ')}' exited with ${result.exitCode}: ${output}`)
  }
  if (handler.httpGet && !runtime.isVirtual) {
    // Whatever the answer is, it is one.
    await httpGet(handler.httpGet, target, { timeoutMs: target.timeoutMs, agent: 'kube-lifecycle/1.36' })
    return
  }
  if (handler.tcpSocket) throw new Error('invalid handler: tcpSocket, which no kubelet runs as a hook')
}
