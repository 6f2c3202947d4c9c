/** Statuses and logs of many pods by one kubectl command each, for tests that each look at a pod of their own. */
import assert from 'node:assert/strict'
import { must } from '../../src/base/assert.ts'
import type { Pod } from '../../src/kube/types.ts'
import type { Kubectl } from './kubectl.ts'
import { until } from './until.ts'

/** In front of what a container said: `[pod/b0/main] `. */
const PREFIX = /\[pod\/([^/\]]+)\/[^/\]]+\] /

export const phaseOf = (pod: Pod): string => pod.status?.phase ?? ''
export const hasEnded = (pod: Pod): boolean => /^(Succeeded|Failed)$/.test(phaseOf(pod))
export const isReady = (pod: Pod): boolean => conditionOf(pod, 'Ready') === 'True'
export const conditionOf = (pod: Pod, type: string): string | undefined =>
  pod.status?.conditions?.find(each => each.type === type)?.status

export interface PodResults {
  /** The pod, as soon as it is so; a look that another test took counts. */
  when(name: string, what: string, isSo: (pod: Pod) => boolean): Promise<Pod>
  /** What an ended pod's only container, or its main one, said. */
  logOf(name: string): Promise<string>
}

/** Of all pods of the namespace `default`; logs of those with the label `says`. */
export function podResults(kubectl: Kubectl): PodResults {
  let pods = new Map<string, Pod>()
  let logs = new Map<string, string>()
  const look = async () => {
    const { items } = (await kubectl.json(['get', 'pods'])) as { items: Pod[] }
    pods = new Map(items.map(pod => [must(pod.metadata.name, 'a name'), pod]))
  }
  const when = async (name: string, what: string, isSo: (pod: Pod) => boolean) => {
    const found = () => {
      const pod = pods.get(name)
      return pod !== undefined && isSo(pod) && pod
    }
    return (
      found() ||
      (await until(`${name}: ${what}`, async () => {
        await look()
        const pod = found()
        if (pod === false) throw new Error(JSON.stringify(pods.get(name)?.status))
        return pod
      }))
    )
  }
  return {
    when,
    async logOf(name) {
      if (!logs.has(name)) {
        const all = [...pods.values()].filter(pod => pod.metadata.labels?.['says'] !== undefined)
        for (const pod of all)
          await when(must(pod.metadata.name, 'a name'), 'its end', hasEnded).catch(() => {})
        logs = await readLogs(kubectl)
      }
      const log = logs.get(name)
      assert.ok(log !== undefined, `${name} has no log`)
      return log
    },
  }
}

async function readLogs(kubectl: Kubectl): Promise<Map<string, string>> {
  const words = ['logs', '-l', 'says', '-c', 'main', '--prefix', '--tail=-1', '--ignore-errors']
  const logs = new Map<string, string>()
  const { items } = (await kubectl.json(['get', 'pods', '-l', 'says'])) as { items: Pod[] }
  for (const { metadata } of items) logs.set(must(metadata.name, 'a name'), '')
  const [, ...parts] = (await kubectl.ok(words)).split(PREFIX)
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const name = must(parts[index], 'a name')
    logs.set(name, `${logs.get(name) ?? ''}${parts[index + 1] ?? ''}`)
  }
  return logs
}
