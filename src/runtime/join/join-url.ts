/** The address that `mk8s add-node` prints and `mk8s join` takes: `HOST:PORT/TOKEN/FINGERPRINT`. Pure. */
import { isIP } from 'node:net'
import { bracketed } from '../../base/bracketed.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { tokenTextProblem } from './token-text.ts'

export interface JoinUrl {
  readonly server: MemberAddress
  /** Null where the URL has `-` in its place. */
  readonly token: string | null
  /** 64 hexadecimal digits. */
  readonly fingerprint: string | null
}

const FORM = 'HOST:PORT/TOKEN/FINGERPRINT, as mk8s add-node prints it'
const PORT_DEFAULT = 25_000
const PORT_MAX = 65_535
const HOST = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
const FINGERPRINT = /^[0-9a-fA-F]{64}$/

/** No message shows the text, which holds a secret. */
const wrong = (why: string): Mk8sError =>
  new Mk8sError('usage', 'this is no address to join', { why, hint: `it has the form ${FORM}` })

export function parseJoinUrl(text: string): JoinUrl {
  const [place = '', token = '', fingerprint, ...rest] = text
    .trim()
    .replace(/^https:\/\//, '')
    .split('/')
  if (rest.length > 0) throw wrong('it has more than three parts')
  return {
    server: parsePlace(place),
    token: token === '-' || token === '' ? null : checkedToken(token),
    fingerprint: fingerprint === undefined || fingerprint === '' ? null : checkedFingerprint(fingerprint),
  }
}

function parsePlace(place: string): MemberAddress {
  const [, bracket, name = bracket ?? '', digits] =
    /^(?:\[(.*)\]|([^:[\]]*))(?::([0-9]{1,5}))?$/.exec(place) ?? []
  const good = bracket === undefined ? HOST.test(name) : isIP(bracket) === 6
  if (!good) throw wrong('its first part is no host; an address of IPv6 stands in brackets: [fd00::1]:25000')
  const port = digits === undefined ? PORT_DEFAULT : Number(digits)
  if (port === 0 || port > PORT_MAX) throw wrong(`${port} is no port`)
  return { host: name, port }
}

export function checkedToken(token: string): string {
  const problem = tokenTextProblem(token)
  if (problem !== undefined) throw new Mk8sError('usage', 'this is no join token', { why: problem })
  return token
}

function checkedFingerprint(fingerprint: string): string {
  if (FINGERPRINT.test(fingerprint)) return fingerprint.toLowerCase()
  throw wrong('its fingerprint does not have 64 hexadecimal digits; take all of them')
}

export const renderJoinUrl = (
  { host, port }: MemberAddress,
  { token, fingerprint }: { readonly token: string; readonly fingerprint: string },
): string => `${bracketed(host)}:${port}/${token}/${fingerprint}`
