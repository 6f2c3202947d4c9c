/** PriorityLevelConfigurations: what is filled in, and what upstream refuses in them. */
import { type FieldError, forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import type { PriorityLevelConfiguration } from '../../../../kube/types.ts'
import { setDefault } from '../support.ts'
import type { Problems } from '../validation/meta.ts'
import { checkConditionTypes } from './flow-rules.ts'
import { fixedLevelProblem } from './mandatory-flows.ts'

const SHARES = 30
const QUEUES = 64
const HAND_SIZE = 8
const QUEUE_LENGTH = 50
const QUEUES_MAX = 10_000_000
/** Bits of the hash that hands are dealt from. */
const HASH_BITS = 60

type Spec = NonNullable<PriorityLevelConfiguration['spec']>
type Limited = NonNullable<Spec['limited']>
type Response = NonNullable<Limited['limitResponse']>

export function defaultLevel(spec: Spec | undefined): void {
  if (!spec) return
  if (spec.type === 'Exempt') {
    setDefault(spec, 'exempt', {})
    setDefault(spec.exempt ?? {}, 'nominalConcurrencyShares', 0)
    setDefault(spec.exempt ?? {}, 'lendablePercent', 0)
  }
  const { limited } = spec
  if (!limited) return
  setDefault(limited, 'nominalConcurrencyShares', SHARES)
  setDefault(limited, 'lendablePercent', 0)
  const queuing = limited.limitResponse?.queuing
  if (!queuing) return
  queuing.queues ||= QUEUES
  queuing.handSize ||= HAND_SIZE
  queuing.queueLengthLimit ||= QUEUE_LENGTH
}

export function levelProblems({ metadata, spec, status }: PriorityLevelConfiguration): readonly FieldError[] {
  const out: FieldError[] = []
  const name = metadata.name ?? ''
  const given = spec ?? ({} as Spec)
  const type = given.type ?? ''
  if ((name === 'exempt') !== (type === 'Exempt')) {
    out.push(invalid('spec.type', type, "type must be 'Exempt' if and only if name is 'exempt'"))
  }
  if (type === 'Exempt') checkExempt(out, given)
  else if (type === 'Limited') checkLimitedOnly(out, given)
  else out.push(notSupported('spec.type', type, ['Exempt', 'Limited']))
  const problem = fixedLevelProblem(name, { ...given })
  if (problem !== null) out.push(invalid('spec', given, problem))
  checkConditionTypes(out, status?.conditions ?? [])
  return out
}

function checkExempt(out: Problems, { limited, exempt }: Spec): void {
  if (limited) out.push(forbidden('spec.limited', 'must be nil if the type is not Limited'))
  if (exempt) checkShares(out, 'spec.exempt', exempt)
}

function checkLimitedOnly(out: Problems, { limited, exempt }: Spec): void {
  if (exempt) out.push(forbidden('spec.exempt', 'must be nil if the type is Limited'))
  if (!limited) {
    out.push(required('spec.limited', 'must not be empty when type is Limited'))
    return
  }
  const field = 'spec.limited'
  checkShares(out, field, limited, () => checkResponse(out, `${field}.limitResponse`, limited.limitResponse))
  const most = limited.borrowingLimitPercent
  if (most === undefined || most === null || most >= 0) return
  out.push(invalid(`${field}.borrowingLimitPercent`, most, 'if specified, must be a non-negative integer'))
}

function checkShares(
  out: Problems,
  field: string,
  { nominalConcurrencyShares, lendablePercent }: Limited,
  between: () => void = () => undefined,
): void {
  const shares = nominalConcurrencyShares ?? 0
  if (shares < 0) {
    out.push(invalid(`${field}.nominalConcurrencyShares`, shares, 'must be a non-negative integer'))
  }
  between()
  const percent = lendablePercent ?? 0
  if (percent >= 0 && percent <= 100) return
  out.push(invalid(`${field}.lendablePercent`, percent, 'must be between 0 and 100, inclusive'))
}

function checkResponse(out: Problems, field: string, response: Response | undefined): void {
  const { type = '', queuing } = response ?? {}
  if (type === 'Reject') {
    const detail = 'must be nil if limited.limitResponse.type is not Limited'
    if (queuing) out.push(forbidden(`${field}.queuing`, detail))
  } else if (type === 'Queue') {
    const detail = 'must not be empty if limited.limitResponse.type is Limited'
    if (queuing) checkQueuing(out, `${field}.queuing`, queuing)
    else out.push(required(`${field}.queuing`, detail))
  } else out.push(notSupported(`${field}.type`, type, ['Queue', 'Reject']))
}

function checkQueuing(out: Problems, field: string, given: NonNullable<Response['queuing']>): void {
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = given
  const refuse = (name: string, value: number, detail: string) =>
    out.push(invalid(`${field}.${name}`, value, detail))
  if (queueLengthLimit <= 0) refuse('queueLengthLimit', queueLengthLimit, 'must be positive')
  if (queues <= 0) refuse('queues', queues, 'must be positive')
  else if (queues > QUEUES_MAX) refuse('queues', queues, `must not be greater than ${QUEUES_MAX}`)
  if (handSize <= 0) refuse('handSize', handSize, 'must be positive')
  else if (handSize > queues) {
    refuse('handSize', handSize, `should not be greater than queues (${queues})`)
  } else if (entropyBits(queues, handSize) > HASH_BITS) {
    const what = `required entropy bits of deckSize ${queues} and handSize ${handSize}`
    refuse('handSize', handSize, `${what} should not be greater than ${HASH_BITS}`)
  }
}

/** How much of a hash it takes to deal a hand; a hand that is too large is known early. */
function entropyBits(deck: number, hand: number): number {
  let bits = 0
  for (let dealt = 0; dealt < hand && bits <= HASH_BITS; dealt++) bits += Math.log2(deck - dealt)
  return Math.ceil(bits)
}
