/** A controller out of its parts: which changes mean which keys, and what to do with a key. */
import type { Informer } from '../../../client/informer.ts'
import { ReconcileLoop, type ReconcileResult } from '../../../client/reconcile-loop.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Controller, ControllerContext } from './context.ts'

/** Objects whose changes make keys due. */
export interface Source {
  /** Announces what is there now, then every change; returns an unsubscribe. */
  subscribe(add: (key: string) => void): () => void
}

/** Both the old and the new object of a change are asked, so that a moved label reaches both owners. */
export function keysFrom<T extends KubeObject>(
  informer: Informer<T>,
  keysOf: (object: T) => readonly string[],
): Source {
  return {
    subscribe(add) {
      const addAll = (object: T | null) => {
        if (object !== null) for (const key of keysOf(object)) add(key)
      }
      const unsubscribe = informer.onChange((_key, next, previous) => {
        addAll(previous)
        addAll(next)
      })
      for (const object of informer.list()) addAll(object)
      return unsubscribe
    },
  }
}

export interface KeyedControllerParts {
  readonly name: string
  readonly context: ControllerContext
  readonly sources: readonly Source[]
  readonly workers?: number
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>
}

export function keyedController(parts: KeyedControllerParts): Controller {
  const { name, context, sources, reconcile } = parts
  const loop = new ReconcileLoop({
    clock: context.clock,
    log: context.log.child({ controller: name }),
    reconcile,
    ...(parts.workers === undefined ? {} : { workers: parts.workers }),
  })
  let subscriptions: (() => void)[] = []
  return {
    name,
    start() {
      subscriptions = sources.map(source => source.subscribe(key => loop.add(key)))
      loop.start()
    },
    async stop() {
      for (const unsubscribe of subscriptions) unsubscribe()
      subscriptions = []
      await loop.stop()
    },
  }
}
