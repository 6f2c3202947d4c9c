/** What `mk8s refresh-certs` shows. Pure. */
import type { AuthorityRotationStatus } from '../client/authority-rotation.ts'

export interface ShownDates {
  readonly name: string
  readonly isAuthority: boolean
  readonly startMs: number
  readonly endMs: number
}

const DAY_MS = 24 * 60 * 60 * 1000
/** The sentences that scripts around MicroK8s look for. */
const SENTENCES: readonly (readonly [name: string, called: string])[] = [
  ['cluster-ca', 'CA'],
  ['apiserver', 'server'],
  ['front-proxy-client', 'front proxy client'],
]

export function renderDates(dates: readonly ShownDates[], nowMs: number): string {
  const days = ({ endMs }: ShownDates) => Math.floor((endMs - nowMs) / DAY_MS)
  const sentences = SENTENCES.flatMap(([name, called]) => {
    const found = dates.find(each => each.name === name)
    if (found === undefined) return []
    if (found.endMs <= nowMs) return [`The ${called} certificate has expired.`]
    return [`The ${called} certificate will expire in ${days(found)} days.`]
  })
  const width = Math.max(...dates.map(({ name }) => name.length))
  const date = (ms: number) => new Date(ms).toISOString().slice(0, 10)
  const rows = dates.map(each => {
    const remark = each.endMs <= nowMs ? 'expired' : `${days(each)} days left`
    return `${each.name.padEnd(width)}  ${date(each.startMs)} to ${date(each.endMs)}  ${remark}`
  })
  return [...sentences, '', ...rows].join('\n')
}

/** How far the replacement of the cluster authority is, and what it waits for. */
export function renderRotation(
  { stage, waitsFor, inUse, dropsAt }: AuthorityRotationStatus,
  what = 'authority',
): string {
  if (waitsFor.length > 0) return `The new ${what} ${IS_ABOUT_TO[stage]}; waiting for ${waitsFor.join(', ')}.`
  if (stage === 'sign' && inUse && dropsAt !== null)
    return `The new ${what} is in use on every node; the earlier one is trusted until ${dropsAt}.`
  return `The new ${what} ${IS_ABOUT_TO[stage]}.`
}

const IS_ABOUT_TO = {
  trust: 'is made known to every node',
  sign: 'is put to use on every node',
  drop: 'is left as the only one on every node',
} as const

export const TOKEN_KEY_QUESTION = 'Replace the key that signs service account tokens by a new one?'

export const TOKEN_KEY_ADVICE = [
  'Tokens of the earlier key are good until they end, for 30 days at most; pods get new ones within a day.',
  'To end them at once: mk8s refresh-certs --cert service-account.key --drop-earlier.',
].join('\n')

export const AUTHORITY_QUESTION = 'Replace the authority of this cluster by a new one?'

/** What users have to do; said before and after. */
export const AUTHORITY_ADVICE = [
  'Kubeconfigs that were copied before do not know the new authority: get new ones with mk8s config.',
  'Pods learn of it by themselves, but a program that read the authorities at its start has to be started again.',
  'Both go on for a week, or until mk8s refresh-certs --drop-earlier. Service account tokens are not affected.',
].join('\n')
