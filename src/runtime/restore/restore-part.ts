/**
 * Writes parts of a backup into the running cluster, as anybody could: objects are created, or replaced where they
 * are. References to owners and claims get the uids that those have now, or go with a warning.
 */
import { type Clock, sleepAlive } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import {
  isAlreadyExists,
  isConflict,
  isInvalid,
  isNotFound,
  type KubeClient,
} from '../../client/kube-client.ts'
import {
  NAMESPACES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  type ResourceRef,
} from '../../client/resources.ts'
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import type { Model } from '../../kube/model-types.ts'
import type { KubeObject, OwnerReference } from '../../kube/object.ts'
import { resourceNameOf } from '../backup/state-contents.ts'
import { nameOfItem, type Part, type PartItem, writableFormOf } from './part-plan.ts'

export type PartAction = 'added' | 'changed' | 'unchanged' | 'left' | 'failed'

export interface PartOutcome {
  readonly name: string
  readonly action: PartAction
  /** Warnings, or why it failed or was left. */
  readonly remarks: readonly string[]
}

export interface RestorePartParts {
  readonly client: KubeClient
  readonly model: Model
  /** Nothing is written. */
  readonly dryRun: boolean
  readonly clock: Clock
  /** The Namespace of that name, from the backup. */
  readonly namespaceOf: (name: string) => PartItem | null
}

/** A kind that was defined a moment ago is served after a moment. */
const SERVED_MS_MAX = 10_000
/** An object that others change at the same time is read again so many times. */
const WRITE_TRIES_MAX = 5
const RETRY_MS = 100

/** One failure does not keep the rest from being written; all are told. */
export async function restoreItems(parts: RestorePartParts, part: Part): Promise<readonly PartOutcome[]> {
  const outcomes: PartOutcome[] = []
  const planned = new Set(part.items.map(({ object }) => idOf(object)))
  for (const item of [...(await missingNamespaces(parts, part)), ...part.items]) {
    outcomes.push(await restoreItem(parts, item, planned))
  }
  const left = part.leftOut.map(({ name, why }) => ({ name, action: 'left' as const, remarks: [why] }))
  return [...outcomes, ...left]
}

const idOf = ({ apiVersion, kind, metadata: { namespace = '', name } }: KubeObject): string =>
  [apiVersion, kind, namespace, name].join(' ')

async function missingNamespaces(
  { client, namespaceOf }: RestorePartParts,
  { items }: Part,
): Promise<PartItem[]> {
  const own = new Set(
    items.filter(({ key }) => resourceNameOf(key) === 'namespaces').map(({ key }) => key.name),
  )
  const names = new Set(items.map(({ key }) => key.namespace).filter(name => name !== '' && !own.has(name)))
  const missing: PartItem[] = []
  for (const name of names) {
    const item = (await find(client, NAMESPACES, { name })) === null ? namespaceOf(name) : null
    if (item !== null) missing.push(item)
  }
  return missing
}

async function restoreItem(
  parts: RestorePartParts,
  item: PartItem,
  planned: ReadonlySet<string>,
): Promise<PartOutcome> {
  const name = nameOfItem(item)
  const remarks: string[] = []
  try {
    const owned = await withOwners(parts, writableFormOf(item), { planned, remarks })
    const wanted = await withClaims(parts, item, owned, remarks)
    return { name, action: await writeOver(parts, item, wanted, remarks), remarks }
  } catch (error) {
    return { name, action: 'failed', remarks: [...remarks, messageOf(error)] }
  }
}

/** Controllers of the cluster write too, such as each namespace's service account: then it is looked at again. */
async function writeOver(...args: Parameters<typeof write>): Promise<PartAction> {
  for (let tries = 1; ; tries++) {
    try {
      return await write(...args)
    } catch (error) {
      if (!(isAlreadyExists(error) || isConflict(error)) || tries === WRITE_TRIES_MAX) throw error
    }
  }
}

async function write(
  parts: RestorePartParts,
  item: PartItem,
  wanted: KubeObject,
  remarks: string[],
): Promise<PartAction> {
  const { client, dryRun } = parts
  const { name, namespace } = item.key
  const current = await find(client, item.resource, { name, namespace })
  if (current === null) {
    if (!dryRun) await create(parts, item, wanted, remarks)
    return 'added'
  }
  const next = withFixedFields(item, wanted, current)
  if (next === null) {
    remarks.push('it is there, and its kind cannot be replaced: delete it first')
    return 'left'
  }
  if (isSame(next, current)) return 'unchanged'
  if (dryRun) return 'changed'
  const { resourceVersion } = current.metadata
  const metadata = { ...next.metadata, ...(resourceVersion !== undefined && { resourceVersion }) }
  const after = await client.update<KubeObject>(item.resource, { ...next, metadata })
  return after.metadata.resourceVersion === resourceVersion ? 'unchanged' : 'changed'
}

async function find(
  client: KubeClient,
  resource: ResourceRef,
  place: { readonly name: string; readonly namespace?: string },
): Promise<KubeObject | null> {
  try {
    return await client.get<KubeObject>(resource, place)
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}

async function create(
  { client, clock }: RestorePartParts,
  { resource, key }: PartItem,
  wanted: KubeObject,
  remarks: string[],
): Promise<void> {
  const deadline = clock.monotonic() + SERVED_MS_MAX
  let object = wanted
  for (;;) {
    try {
      await client.create(resource, object)
      return
    } catch (error) {
      const freed = isInvalid(error) && resourceNameOf(key) === 'services' ? withoutAddresses(object) : null
      if (freed !== null) {
        remarks.push('its cluster IP or node ports are taken: it gets others')
        object = freed
      } else if (!isNotFound(error) || clock.monotonic() > deadline) throw error
      else await sleepAlive(clock, RETRY_MS)
      if (isAlreadyExists(error)) throw error
    }
  }
}

/** Null when it names none. */
function withoutAddresses(service: KubeObject): KubeObject | null {
  const { spec } = service
  if (!isMap(spec) || spec['clusterIP'] === undefined || spec['clusterIP'] === 'None') return null
  const { clusterIP: _, clusterIPs: __, healthCheckNodePort: ___, ports, ...rest } = spec
  const freed = (Array.isArray(ports) ? ports : []).map((port: JsonMap) => {
    const { nodePort: _port, ...left } = port
    return left
  })
  return { ...service, spec: { ...rest, ports: freed } }
}

/** Fields that cannot change stay as they are now; null where that is all of them. */
function withFixedFields({ key }: PartItem, wanted: KubeObject, current: KubeObject): KubeObject | null {
  const [spec, now] = [wanted['spec'], current['spec']]
  if (!isMap(spec) || !isMap(now)) return wanted
  const keep = (...names: readonly string[]): KubeObject => {
    const kept = Object.fromEntries(names.flatMap(name => (name in now ? [[name, now[name]]] : [])))
    return { ...wanted, spec: { ...spec, ...kept } }
  }
  switch (resourceNameOf(key)) {
    case 'pods':
      return null
    case 'services':
      return keep('clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy')
    case 'jobs.batch':
      return keep('selector', 'template', 'completions', 'completionMode')
    case 'persistentvolumeclaims':
      return { ...wanted, spec: now }
    default:
      return wanted
  }
}

/** What would be written against what is there, in so far as a writer decides it. */
function isSame(wanted: KubeObject, current: KubeObject): boolean {
  const bare = ({ metadata, status: _, ...rest }: KubeObject) => {
    const { labels = {}, annotations = {}, ownerReferences = [], finalizers = [] } = metadata
    return sorted({ ...rest, labels, annotations, ownerReferences, finalizers })
  }
  return bare(wanted) === bare(current)
}

const sorted = (value: unknown): string =>
  JSON.stringify(value, (_key, item: unknown) =>
    isMap(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item,
  )

/** Owners were written before; whoever is not there now cannot own anything. */
async function withOwners(
  parts: RestorePartParts,
  object: KubeObject,
  { planned, remarks }: { readonly planned: ReadonlySet<string>; readonly remarks: string[] },
): Promise<KubeObject> {
  const { ownerReferences: owners = [], ...metadata } = object.metadata
  if (owners.length === 0) return object
  const found: OwnerReference[] = []
  for (const owner of owners) {
    const present = await findOwner(parts, owner, object.metadata.namespace)
    const comes = [object.metadata.namespace ?? '', ''].some(namespace =>
      planned.has([owner.apiVersion, owner.kind, namespace, owner.name].join(' ')),
    )
    if (present?.metadata.uid !== undefined) found.push({ ...owner, uid: present.metadata.uid })
    else if (parts.dryRun && comes) found.push(owner)
    else remarks.push(`its owner ${owner.kind} ${owner.name} is not there: the reference goes`)
  }
  return { ...object, metadata: { ...metadata, ...(found.length > 0 && { ownerReferences: found }) } }
}

async function findOwner(
  { client, model }: RestorePartParts,
  { apiVersion, kind, name }: OwnerReference,
  namespace: string | undefined,
): Promise<KubeObject | null> {
  const [version = '', group = ''] = apiVersion.split('/').reverse()
  const info = model.byKind({ group, version, kind })
  // Of a kind that somebody has defined, by the usual plural.
  const { resource, namespaced } = info ?? {
    resource: `${kind.toLowerCase()}s`,
    namespaced: namespace !== undefined,
  }
  const ref = { group, version, resource, namespaced }
  return find(client, ref, { name, ...(namespaced && namespace !== undefined && { namespace }) })
}

/** A volume and its claim name each other, and the volume by the claim's uid. */
async function withClaims(
  { client }: RestorePartParts,
  { key }: PartItem,
  object: KubeObject,
  remarks: string[],
): Promise<KubeObject> {
  const { spec } = object
  if (!isMap(spec)) return object
  if (resourceNameOf(key) === 'persistentvolumes' && isMap(spec['claimRef'])) {
    const { namespace, name } = spec['claimRef']
    const claim = await find(client, PERSISTENT_VOLUME_CLAIMS, {
      namespace: String(namespace),
      name: String(name),
    })
    if (claim === null)
      remarks.push(`its claim ${namespace}/${name} is not there: it waits for one of that name`)
    const uid = claim?.metadata.uid
    return {
      ...object,
      spec: { ...spec, claimRef: { ...spec['claimRef'], ...(uid !== undefined && { uid }) } },
    }
  }
  if (resourceNameOf(key) !== 'persistentvolumeclaims' || typeof spec['volumeName'] !== 'string')
    return object
  const volume = await find(client, PERSISTENT_VOLUMES, { name: spec['volumeName'] })
  const reference = isMap(volume?.['spec']) ? volume['spec']['claimRef'] : undefined
  const isTaken =
    isMap(reference) && (reference['name'] !== key.name || reference['namespace'] !== key.namespace)
  if (!isTaken) return object
  remarks.push(`its volume ${spec['volumeName']} belongs to another claim: it gets a new one`)
  const { volumeName: _, ...rest } = spec
  return { ...object, spec: rest }
}
