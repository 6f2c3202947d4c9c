/** How much of a device's capacity a request takes, by the device's own rules (pure). */
import type { SliceDevice } from '../../../kube/devices/device-expressions.ts'
import { formatQuantity, parseQuantity, type QuantityFormat } from '../../../kube/quantity.ts'

type Capacity = NonNullable<SliceDevice['capacity']>[string]
/** The client library gives this field another name. */
type Policy = NonNullable<Capacity['requestPolicy']> & { readonly default?: string }
export type CapacityRequests = Readonly<Record<string, string>>
/** In billionths, by name. */
export type Consumption = ReadonlyMap<string, bigint>

const nano = (text: string): bigint => parseQuantity(text).nano

/** Null: the device does not have what is asked for, or does not give it away like that. */
export function consumptionFor(device: SliceDevice, requests: CapacityRequests): Consumption | null {
  const capacity = device.capacity ?? {}
  if (Object.keys(requests).some(name => capacity[name] === undefined)) return null
  const taken = new Map<string, bigint>()
  for (const [name, each] of Object.entries(capacity)) {
    const amount = amountOf(each, requests[name])
    if (amount === null) return null
    taken.set(name, amount)
  }
  return taken
}

function amountOf({ value, requestPolicy: policy }: Capacity, requested: string | undefined): bigint | null {
  const whole = nano(value)
  const usual = (policy as Policy | undefined)?.default
  if (requested === undefined) return usual === undefined ? whole : nano(usual)
  const amount = policy === undefined ? nano(requested) : roundedUp(nano(requested), policy)
  return amount === null || amount > whole ? null : amount
}

/** To the next amount that the policy allows. */
function roundedUp(amount: bigint, { validValues, validRange }: Policy): bigint | null {
  if (validValues !== undefined && validValues.length > 0)
    return validValues.map(nano).find(each => each >= amount) ?? null
  if (validRange === undefined) return amount
  const min = nano(validRange.min ?? '0')
  if (amount <= min) return min
  const step = validRange.step === undefined ? 0n : nano(validRange.step)
  const over = step === 0n ? 0n : (amount - min) % step
  const rounded = over === 0n ? amount : amount + step - over
  return validRange.max !== undefined && rounded > nano(validRange.max) ? null : rounded
}

/** Whether so much is left of a device that others share. */
export const hasLeft = (device: SliceDevice, wanted: Consumption, taken: readonly Consumption[]): boolean =>
  [...wanted].every(([name, amount]) => {
    const used = taken.reduce((sum, each) => sum + (each.get(name) ?? 0n), 0n)
    return used + amount <= nano(device.capacity?.[name]?.value ?? '0')
  })

export function formatConsumption(device: SliceDevice, taken: Consumption): Record<string, string> {
  const formatOf = (name: string): QuantityFormat =>
    parseQuantity(device.capacity?.[name]?.value ?? '0').format
  return Object.fromEntries(
    Array.from(taken, ([name, amount]) => [name, formatQuantity({ nano: amount, format: formatOf(name) })]),
  )
}
