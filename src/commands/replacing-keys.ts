/** What the commands share that replace something on all servers: beginning, and telling what is waited for. */
import { sleepAlive, systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { renderRotation, TOKEN_KEY_ADVICE, TOKEN_KEY_QUESTION } from '../cli/certificates-view.ts'
import { confirm, print, printJson, remark } from '../cli/terminal.ts'
import type { AuthorityRotationStatus } from '../client/authority-rotation.ts'
import { dropEarlierKey, keyRotation, type RingName, replaceKey } from '../client/key-rotation.ts'

const LOOK_MS = 300

interface WaitFlags {
  readonly json: boolean
  readonly timeout: number
}

export interface Followed extends WaitFlags {
  /** `authority` or `key`. */
  readonly what: string
  /** Undefined when the daemon cannot say. */
  readonly ask: () => Promise<AuthorityRotationStatus | null | undefined>
  readonly isDone: (rotation: AuthorityRotationStatus | null) => boolean
  /** When the time is over. */
  readonly hint: string
}

/** Says what is waited for, each time that it is something else. */
export async function follow({ timeout, json, what, ask, isDone, hint }: Followed): Promise<void> {
  const endMs = systemClock.monotonic() + timeout * 1000
  let said = ''
  for (;;) {
    const rotation = await ask()
    if (rotation !== undefined && isDone(rotation)) return
    const text = rotation ? renderRotation(rotation, what) : 'The daemon does not answer now.'
    if (systemClock.monotonic() > endMs)
      throw new Mk8sError('timeout', `the ${what} is not replaced everywhere yet`, { why: text, hint })
    if (!json && text !== said) remark(text)
    said = text
    await sleepAlive(systemClock, LOOK_MS)
  }
}

/** Follows a key until `isDone`. */
export function followKey(
  socket: string,
  ring: RingName,
  flags: WaitFlags,
  isDone: Followed['isDone'],
): Promise<void> {
  const ask = () => keyRotation(socket, ring).catch(() => undefined)
  return follow({ ...flags, what: 'key', hint: 'it goes on by itself; run the command again', ask, isDone })
}

/** `mk8s refresh-certs --cert service-account.key`. */
export async function refreshTokenKey(
  socket: string,
  flags: WaitFlags & { readonly yes: boolean; readonly 'drop-earlier': boolean },
): Promise<number> {
  const ring = 'service-account'
  if (flags['drop-earlier']) {
    const dropped = await dropEarlierKey(socket, ring)
    if (dropped) await followKey(socket, ring, flags, rotation => rotation === null)
    if (flags.json) printJson({ dropped })
    else print(dropped ? 'Tokens of the earlier key are not believed any more.' : 'There is no earlier key.')
    return 0
  }
  await confirm(TOKEN_KEY_QUESTION, flags)
  await replaceKey(socket, ring)
  await followKey(socket, ring, flags, rotation => rotation === null || rotation.inUse)
  if (flags.json) printJson({ replaced: true })
  else print(`Every server signs tokens with the new key.\n${TOKEN_KEY_ADVICE}`)
  return 0
}
