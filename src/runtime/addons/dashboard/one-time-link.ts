/**
 * Links that sign in once, at any server: the code in the link is the only key to a token that lies encrypted in a
 * Secret, and whoever deletes that Secret is the one who gets in.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { isConflict, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { SECRETS } from '../../../client/resources.ts'
import { formatTime, parseTime } from '../../../kube/time.ts'
import type { Secret } from '../../../kube/types.ts'

export const DASHBOARD_NAMESPACE = 'kubernetes-dashboard'
const TYPE = 'addons.mk8s.io/dashboard-link'
const GOOD_UNTIL = 'addons.mk8s.io/good-until'
const CODE_BYTES = 32
const CODE = /^[\w-]{43}$/
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** A link is opened at once, or made anew. */
export const LINK_MS_MAX = 10 * 60_000

/** Nobody can find the code, or the key, by the name. */
const nameOf = (code: string): string =>
  `link-${createHash('sha256').update(`name\0${code}`).digest('hex').slice(0, 40)}`

const keyOf = (code: string): Buffer => Buffer.from(hkdfSync('sha256', code, '', 'mk8s dashboard link', 32))

export function sealToken(code: string, token: string, random: Random): string {
  const nonce = Buffer.from(random.bytes(NONCE_BYTES))
  const cipher = createCipheriv('aes-256-gcm', keyOf(code), nonce)
  const body = Buffer.concat([cipher.update(token, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64')
}

/** Null: it was sealed with another code, or is damaged. */
export function openToken(code: string, sealed: string): string | null {
  const bytes = Buffer.from(sealed, 'base64')
  const start = NONCE_BYTES + TAG_BYTES
  if (bytes.length < start) return null
  const options = { authTagLength: TAG_BYTES }
  const decipher = createDecipheriv('aes-256-gcm', keyOf(code), bytes.subarray(0, NONCE_BYTES), options)
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, start))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(start)), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}

interface LinkMeans {
  readonly client: KubeClient
  readonly clock: Clock
  readonly random: Random
}

/** Returns the code. Those that nobody has used go. */
export async function keepLink({ client, clock, random }: LinkMeans, token: string): Promise<string> {
  await forgetOld(client, clock.now())
  const code = Buffer.from(random.bytes(CODE_BYTES)).toString('base64url')
  const annotations = { [GOOD_UNTIL]: formatTime(clock.now() + LINK_MS_MAX) }
  await client.create<Secret>(SECRETS, {
    ...{ apiVersion: 'v1', kind: 'Secret', type: TYPE },
    metadata: { name: nameOf(code), namespace: DASHBOARD_NAMESPACE, annotations },
    data: { token: sealToken(code, token, random) },
  })
  return code
}

/** Null: there is no such link, it is too old, or somebody was quicker. */
export async function takeLink(
  { client, clock }: Omit<LinkMeans, 'random'>,
  code: string,
): Promise<string | null> {
  if (!CODE.test(code)) return null
  const target = { namespace: DASHBOARD_NAMESPACE, name: nameOf(code) }
  try {
    const { metadata, data, type } = await client.get<Secret>(SECRETS, target)
    if (type !== TYPE) return null
    await client.delete(SECRETS, { ...target, uid: metadata.uid })
    return isOver(metadata, clock.now()) ? null : openToken(code, data?.['token'] ?? '')
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return null
    throw error
  }
}

const isOver = ({ annotations }: Secret['metadata'], nowMs: number): boolean =>
  (parseTime(annotations?.[GOOD_UNTIL] ?? '') ?? 0) < nowMs

async function forgetOld(client: KubeClient, nowMs: number): Promise<void> {
  const fieldSelector = `type=${TYPE}`
  const { items } = await client.list<Secret>(SECRETS, { namespace: DASHBOARD_NAMESPACE, fieldSelector })
  for (const { metadata } of items.filter(one => isOver(one.metadata, nowMs))) {
    const { name = '', uid } = metadata
    await client.delete(SECRETS, { namespace: DASHBOARD_NAMESPACE, name, uid }).catch(error => {
      if (!isNotFound(error) && !isConflict(error)) throw error
    })
  }
}
