/**
 * Programs of somebody else's that have a say in where pods run (`extenders` of a KubeSchedulerConfiguration): they
 * filter and weigh nodes, choose victims and bind, over HTTP in the documents of k8s.io/kube-scheduler/extender/v1.
 */
import type { Log } from '../../base/log.ts'
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import type { Pod } from '../../kube/types.ts'
import { createExtenderCaller, type ExtenderCaller } from './extender-calls.ts'
import type { ExtenderConfig } from './extender-config.ts'
import type { NodeInfo } from './node-info.ts'
import type { Candidate } from './preemption.ts'

export interface ExtenderRejection {
  readonly node: string
  readonly reason: string
  /** False: no pod's leaving would help. */
  readonly resolvable: boolean
}

/** A plugin's score counts up to 100, an extender's up to 10. */
const SCORE_FACTOR = 10

export class Extenders {
  readonly #all: readonly Extender[]
  readonly #log: Log

  constructor(
    configs: readonly ExtenderConfig[],
    log: Log,
    callerOf: (config: ExtenderConfig) => ExtenderCaller = createExtenderCaller,
  ) {
    this.#all = configs.map(config => new Extender(config, callerOf(config)))
    this.#log = log
  }

  /** Whether anybody has a say about this pod. */
  concern(pod: Pod): boolean {
    return this.#all.some(each => each.isInterested(pod))
  }

  close(): void {
    for (const each of this.#all) each.close()
  }

  /** One after the other; throws when one fails that pods cannot do without. */
  async filter(pod: Pod, nodes: readonly NodeInfo[]) {
    let fitting = nodes
    const rejections: ExtenderRejection[] = []
    for (const extender of this.#interested(pod, 'filterVerb')) {
      if (fitting.length === 0) break
      const found = await this.#unlessIgnorable(extender, () => extender.filter(pod, fitting))
      if (found === null) continue
      fitting = found.fitting
      rejections.push(...found.rejections)
    }
    return { fitting, rejections }
  }

  /** What to add to the nodes' scores; whoever fails has no say. */
  async scores(pod: Pod, nodes: readonly NodeInfo[]): Promise<ReadonlyMap<string, number>> {
    const sums = new Map<string, number>()
    const asked = this.#interested(pod, 'prioritizeVerb').map(async extender => {
      try {
        for (const [node, score] of await extender.prioritize(pod, nodes))
          sums.set(node, (sums.get(node) ?? 0) + score * extender.config.weight * SCORE_FACTOR)
      } catch (error) {
        this.#log.debug('An extender did not prioritize', { url: extender.config.urlPrefix, error })
      }
    })
    await Promise.all(asked)
    return sums
  }

  /** What is left of the candidates. */
  async preempt(
    pod: Pod,
    candidates: readonly Candidate[],
    nodes: readonly NodeInfo[],
  ): Promise<readonly Candidate[]> {
    let left = candidates
    for (const extender of this.#interested(pod, 'preemptVerb')) {
      if (left.length === 0) break
      left = (await this.#unlessIgnorable(extender, () => extender.preempt(pod, left, nodes))) ?? left
    }
    return left
  }

  /** False: nobody of them binds it. */
  async bind(pod: Pod, node: string): Promise<boolean> {
    for (const extender of this.#interested(pod, 'bindVerb')) {
      const isBound = await this.#unlessIgnorable(extender, () => extender.bind(pod, node))
      if (isBound !== null) return true
    }
    return false
  }

  #interested(pod: Pod, verb: 'filterVerb' | 'prioritizeVerb' | 'preemptVerb' | 'bindVerb'): Extender[] {
    return this.#all.filter(each => each.config[verb] !== '' && each.isInterested(pod))
  }

  async #unlessIgnorable<T>(extender: Extender, ask: () => Promise<T>): Promise<T | null> {
    try {
      return await ask()
    } catch (error) {
      if (!extender.config.ignorable) throw error
      this.#log.debug('An extender is done without', { url: extender.config.urlPrefix, error })
      return null
    }
  }
}

class Extender {
  readonly config: ExtenderConfig
  readonly #caller: ExtenderCaller

  constructor(config: ExtenderConfig, caller: ExtenderCaller) {
    this.config = config
    this.#caller = caller
  }

  close(): void {
    this.#caller.close()
  }

  isInterested({ spec }: Pod): boolean {
    const { managedResources } = this.config
    if (managedResources.length === 0) return true
    const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
    return containers.some(({ resources }) =>
      managedResources.some(
        ({ name }) => resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined,
      ),
    )
  }

  async filter(pod: Pod, nodes: readonly NodeInfo[]) {
    const { filterVerb, nodeCacheCapable, urlPrefix } = this.config
    const answer = fieldsOf(await this.#caller.post(filterVerb, this.#args(pod, nodes)))
    throwError(answer)
    const names = nodeCacheCapable ? answer['nodenames'] : namesOf(answer['nodes'])
    const byName = new Map(nodes.map(node => [node.name, node]))
    const fitting = (Array.isArray(names) ? names : []).map(name => {
      const node = byName.get(String(name))
      if (node !== undefined) return node
      throw new Error(
        `extender ${JSON.stringify(urlPrefix)} claims a filtered node ${JSON.stringify(name)} which is not found in the input node list`,
      )
    })
    const final = mapOf(answer['failedandunresolvablenodes'])
    const failed = Object.entries(mapOf(answer['failednodes'])).filter(([node]) => !(node in final))
    const rejection =
      (resolvable: boolean) =>
      ([node, reason]: [string, unknown]) => ({
        ...{ node, resolvable },
        reason: String(reason),
      })
    const rejections = [...Object.entries(final).map(rejection(false)), ...failed.map(rejection(true))]
    return { fitting, rejections }
  }

  async prioritize(pod: Pod, nodes: readonly NodeInfo[]): Promise<(readonly [string, number])[]> {
    const answer = await this.#caller.post(this.config.prioritizeVerb, this.#args(pod, nodes))
    return (Array.isArray(answer) ? answer : []).map(one => {
      const { host, score } = fieldsOf(one)
      return [String(host), Number(score ?? 0)] as const
    })
  }

  async preempt(
    pod: Pod,
    candidates: readonly Candidate[],
    nodes: readonly NodeInfo[],
  ): Promise<readonly Candidate[]> {
    const { nodeCacheCapable, preemptVerb, ignorable } = this.config
    const args = {
      Pod: pod,
      NodeNameToVictims: nodeCacheCapable ? null : victimsByNode(candidates, victim => victim),
      NodeNameToMetaVictims: nodeCacheCapable
        ? victimsByNode(candidates, ({ metadata }) => ({ UID: metadata.uid }))
        : null,
    }
    const answer = fieldsOf(await this.#caller.post(preemptVerb, args))
    const left: Candidate[] = []
    for (const [node, meta] of Object.entries(mapOf(answer['nodenametometavictims']))) {
      const { pods, numpdbviolations = 0 } = fieldsOf(meta)
      const victims = (Array.isArray(pods) ? pods : []).map(one => podOn(node, fieldsOf(one)['uid'], nodes))
      if (victims.length > 0) left.push({ node, victims, violations: Number(numpdbviolations) })
      else if (!ignorable) throw new Error(`expected at least one victim pod on node ${JSON.stringify(node)}`)
    }
    return left
  }

  async bind({ metadata }: Pod, node: string): Promise<true> {
    const { name: PodName, namespace: PodNamespace, uid: PodUID } = metadata
    const args = { PodName, PodNamespace, PodUID, Node: node }
    throwError(fieldsOf(await this.#caller.post(this.config.bindVerb, args)))
    return true
  }

  #args(pod: Pod, nodes: readonly NodeInfo[]): object {
    const names = nodes.map(({ name }) => name)
    if (this.config.nodeCacheCapable) return { Pod: pod, Nodes: null, NodeNames: names }
    return { Pod: pod, Nodes: { metadata: {}, items: nodes.map(({ node }) => node) }, NodeNames: null }
  }
}

/** Go reads the names of fields whatever their case. */
function fieldsOf(value: unknown): JsonMap {
  if (!isMap(value)) return {}
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name.toLowerCase(), field]))
}

const mapOf = (value: unknown): JsonMap => (isMap(value) ? value : {})

function throwError({ error }: JsonMap): void {
  if (typeof error === 'string' && error !== '') throw new Error(error)
}

function namesOf(nodes: unknown): unknown[] {
  const { items } = fieldsOf(nodes)
  return (Array.isArray(items) ? items : []).map(item => mapOf(mapOf(item)['metadata'])['name'])
}

const victimsByNode = (candidates: readonly Candidate[], show: (victim: Pod) => object): object =>
  Object.fromEntries(
    candidates.map(({ node, victims, violations }) => [
      node,
      { Pods: victims.map(show), NumPDBViolations: violations },
    ]),
  )

function podOn(name: string, uid: unknown, nodes: readonly NodeInfo[]): Pod {
  const node = nodes.find(each => each.name === name)
  const pod = node?.pods().find(({ metadata }) => metadata.uid === uid)
  if (pod !== undefined) return pod
  throw new Error(
    `extender claims to preempt pod (UID: ${uid}) on node: ${name}, but the pod is not found on that node`,
  )
}
