/** Applies the manifests that were given at install, once, when the cluster is new. */

import { type Clock, sleep } from '../base/clock.ts'
import type { Component, Health } from '../base/component.ts'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { isAlreadyExists, KubeClient } from '../client/kube-client.ts'
import type { Transport } from '../client/transport.ts'
import type { Model } from '../kube/model-types.ts'
import type { KubeObject } from '../kube/object.ts'

export interface FirstManifestsParts {
  readonly manifests: readonly KubeObject[]
  /** Speaks as a member of system:masters. */
  readonly transport: Transport
  readonly model: Model
  readonly clock: Clock
  readonly log: Log
  /** Called once every manifest is there. */
  readonly onDone: () => Promise<void>
}

/** An object may need another one to be there first (a namespace's service account); so often it is tried again. */
const ATTEMPTS_MAX = 30
const PAUSE_MS = 500

export function createFirstManifests(parts: FirstManifestsParts): Component {
  const stopping = new AbortController()
  let health: Health = { ok: true, reason: '' }
  const applyAll = async () => {
    for (const manifest of parts.manifests) await applyPatiently(parts, manifest, stopping.signal)
    await parts.onDone()
  }
  return {
    name: 'manifests',
    async prepare() {},
    async start() {
      applyAll().catch(error => {
        if (stopping.signal.aborted) return
        health = { ok: false, reason: messageOf(error) }
        parts.log.error('a manifest given at install cannot be applied', { error: messageOf(error) })
      })
    },
    async stop() {
      stopping.abort()
    },
    health: () => health,
  }
}

async function applyPatiently(
  parts: FirstManifestsParts,
  manifest: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const refusal = await create(parts, manifest)
    if (refusal === null) return
    if (attempt === ATTEMPTS_MAX) throw new Error(refusal)
    await sleep(parts.clock, PAUSE_MS, signal)
  }
}

/** Null when it is there now; else why it is not. */
async function create(
  { transport, model }: FirstManifestsParts,
  manifest: KubeObject,
): Promise<string | null> {
  const { apiVersion, kind, metadata } = manifest
  const [version = '', group = ''] = apiVersion.split('/').reverse()
  const name = `${kind} ${metadata.name ?? ''}`
  const resource = model.byKind({ group, version, kind })
  if (!resource) return `${name}: ${apiVersion} has no kind ${kind}`
  const space = resource.namespaced ? { namespace: metadata.namespace ?? 'default' } : {}
  try {
    await new KubeClient(transport).create(resource, manifest, space)
    return null
  } catch (error) {
    return isAlreadyExists(error) ? null : `${name}: ${messageOf(error)}`
  }
}
