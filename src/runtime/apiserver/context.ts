/** What every request handler needs, put together once. */
import { HealthFigures } from '../../base/health-figures.ts'
import type { ApiServerParts } from './apiserver-parts.ts'
import { createCustomResources } from './extensions/custom-resources.ts'
import { createFairness, type Fairness } from './fairness/fairness.ts'
import { createEncodings, type Encodings } from './negotiation/encodings.ts'
import type { ObjectReader, VirtualHandler } from './ports.ts'
import type { StrategyContext } from './registry/strategy.ts'
import { type BigLists, createBigLists } from './requests/big-lists.ts'
import { createTurns, type Turns } from './requests/turns.ts'
import { createEventLeases, type EventLeases } from './storage/event-leases.ts'
import { createObjectReader } from './storage/object-reader.ts'
import { createSelection, type Selection } from './storage/selection.ts'
import { createResourceTable, type ResourceTable } from './storage/served-resource.ts'
import type { UserInfo } from './user.ts'
import { createProtobufItems, type ProtobufItems } from './views/protobuf-items.ts'
import { createWatchEventEncoder, type WatchEventEncoder } from './views/watch-event.ts'

export interface ApiContext extends ApiServerParts {
  readonly resources: ResourceTable
  readonly objects: ObjectReader
  readonly selection: Selection
  readonly bigLists: BigLists
  readonly fairness: Fairness
  readonly healthFigures: HealthFigures
  readonly watchEvents: WatchEventEncoder
  readonly encodings: Encodings
  readonly protobufItems: ProtobufItems
  readonly eventLeases: EventLeases
  /** Of writers of one object that met. */
  readonly turns: Turns
  /** Fires when the server stops; watches and followed logs end. */
  readonly stopping: AbortController
  virtualHandler(group: string, resource: string, subresource: string): VirtualHandler | undefined
  strategyContext(user: UserInfo): StrategyContext
}

export function createApiContext(parts: ApiServerParts): ApiContext {
  const resources = createCustomResources({
    store: parts.store,
    model: parts.model,
    table: createResourceTable(parts.model, parts.strategies),
    conversions: { webhooks: parts.webhookCaller, random: parts.random },
    log: parts.log,
  })
  const handlers = new Map(
    parts.virtualHandlers.map(one => [`${one.group}/${one.resource}/${one.subresource}`, one]),
  )
  const encodings = createEncodings(parts)
  const objects = createObjectReader(parts.store, parts.model, resources)
  return {
    ...parts,
    resources,
    objects,
    fairness: createFairness({ store: parts.store, objects, clock: parts.clock }),
    healthFigures: new HealthFigures(),
    selection: createSelection(),
    bigLists: createBigLists(),
    watchEvents: createWatchEventEncoder(),
    encodings,
    protobufItems: createProtobufItems(encodings),
    eventLeases: createEventLeases(parts.store, parts.clock),
    turns: createTurns(),
    stopping: new AbortController(),
    virtualHandler: (group, resource, subresource) => handlers.get(`${group}/${resource}/${subresource}`),
    strategyContext: user => ({
      nowMs: parts.clock.now(),
      username: user.username,
      user,
      uuid: () => parts.random.uuid(),
      random: () => parts.random.float(),
      settings: parts.settings,
    }),
  }
}
