/** Writes what bootstrap plans, through the API like anybody else; with everything there it writes nothing. */

import { messageOf } from '../../../base/errors.ts'
import type { KubeResponse, Transport } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ObjectReader } from '../ports.ts'
import { planBootstrap } from './plan.ts'

export interface BootstrapParts {
  /** In process, as a user in system:masters. */
  readonly transport: Transport
  readonly objects: ObjectReader
  /** From `bootstrapObjects`. */
  readonly wanted: readonly KubeObject[]
  readonly signal?: AbortSignal
}

export interface BootstrapReport {
  readonly created: number
  readonly updated: number
  /** One sentence per object that could not be written; the next start tries again. */
  readonly problems: readonly string[]
}

const ATTEMPTS_MAX = 4

type Outcome = 'none' | 'created' | 'updated' | { readonly problem: string }

/** Namespaces first, then everything else at once. */
export async function reconcileBootstrap(parts: BootstrapParts): Promise<BootstrapReport> {
  const isNamespace = (object: KubeObject): boolean => object.kind === 'Namespace'
  const ensureAll = (objects: readonly KubeObject[]) =>
    Promise.all(objects.map(object => ensureObject(object, parts)))
  const outcomes = await ensureAll(parts.wanted.filter(isNamespace))
  outcomes.push(...(await ensureAll(parts.wanted.filter(object => !isNamespace(object)))))
  return {
    created: outcomes.filter(outcome => outcome === 'created').length,
    updated: outcomes.filter(outcome => outcome === 'updated').length,
    problems: outcomes.flatMap(outcome => (typeof outcome === 'object' ? [outcome.problem] : [])),
  }
}

async function ensureObject(wanted: KubeObject, parts: BootstrapParts): Promise<Outcome> {
  try {
    return await attempt(wanted, parts)
  } catch (error) {
    parts.signal?.throwIfAborted()
    return { problem: `${describe(wanted)}: ${messageOf(error)}` }
  }
}

/** Plans and writes; plans anew when somebody else wrote in between. */
async function attempt(wanted: KubeObject, parts: BootstrapParts): Promise<Outcome> {
  const { group, resource } = locate(wanted)
  const { namespace = '', name = '' } = wanted.metadata
  let answer: KubeResponse | null = null
  for (let count = 0; count < ATTEMPTS_MAX; count++) {
    const action = planBootstrap(wanted, parts.objects.get(group, resource, namespace, name))
    if (action.kind === 'none') return 'none'
    if (action.kind === 'replace') {
      await send(parts, 'DELETE', wanted)
      continue
    }
    answer = await send(parts, action.kind === 'create' ? 'POST' : 'PUT', action.object)
    if (answer.status < 300) return action.kind === 'create' ? 'created' : 'updated'
    if (answer.status !== 409) break
  }
  return { problem: `${describe(wanted)}: ${await textOf(answer)}` }
}

async function send(parts: BootstrapParts, method: string, object: KubeObject): Promise<KubeResponse> {
  const { collection } = locate(object)
  const body = method === 'DELETE' ? {} : { body: Buffer.from(JSON.stringify(object)) }
  return await parts.transport.request({
    method,
    path: method === 'POST' ? collection : `${collection}/${encodeURIComponent(object.metadata.name ?? '')}`,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      'user-agent': 'kube-apiserver/mk8s',
    },
    ...body,
    ...(parts.signal === undefined ? {} : { signal: parts.signal }),
  })
}

const plurals: Record<string, string> = {
  Endpoints: 'endpoints',
  PriorityClass: 'priorityclasses',
}

/** Where objects of this kind live in the API. */
function locate(object: KubeObject): { group: string; resource: string; collection: string } {
  const [first = '', second] = object.apiVersion.split('/')
  const group = second === undefined ? '' : first
  const resource = plurals[object.kind] ?? `${object.kind.toLowerCase()}s`
  const root = group === '' ? `/api/${object.apiVersion}` : `/apis/${object.apiVersion}`
  const { namespace } = object.metadata
  const scope = namespace === undefined ? '' : `/namespaces/${namespace}`
  return { group, resource, collection: `${root}${scope}/${resource}` }
}

const describe = (object: KubeObject): string => `${object.kind} ${object.metadata.name}`

async function textOf(answer: KubeResponse | null): Promise<string> {
  if (answer === null) return 'cannot be written'
  if (!(answer.body instanceof Uint8Array)) return `the answer was ${answer.status}`
  const text = Buffer.from(answer.body).toString('utf8')
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text
  } catch {
    return text
  }
}
