/** What expressions that choose devices may refer to, and whether one chooses a device. */
import { compileExpression, type Program } from '../cel/cel.ts'
import { type CelEnv, TYPE_NAMES } from '../cel/env.ts'
import { LazyStruct } from '../cel/json-value.ts'
import { kubernetesFunctions } from '../cel/library/library.ts'
import { quantityValue } from '../cel/library/quantities.ts'
import { semverValue } from '../cel/library/semvers.ts'
import { BOOL, DYN, mapOf, objectOf, opaque, STRING } from '../cel/types.ts'
import { type CelValue, LiteralMap, MapValue } from '../cel/values.ts'
import type { ResourceSlice } from '../types.ts'

/** Of one expression on one device. */
export const DEVICE_COST_MAX = 1_000_000
/** Compiled expressions that are kept; then all are forgotten. */
const PROGRAMS_MAX = 1_000

export interface DeviceAttribute {
  readonly bool?: boolean
  readonly int?: number
  readonly string?: string
  readonly version?: string
}

type ListedDevice = NonNullable<NonNullable<ResourceSlice['spec']>['devices']>[number]

export type SliceDevice = Omit<ListedDevice, 'attributes'> & {
  readonly attributes?: Readonly<Record<string, DeviceAttribute>>
}

const DEVICE = objectOf('kubernetes.DRADevice', {
  driver: STRING,
  attributes: mapOf(STRING, mapOf(STRING, DYN)),
  capacity: mapOf(STRING, mapOf(STRING, opaque('kubernetes.Quantity'))),
  allowMultipleAllocations: BOOL,
})

export const DEVICE_ENV: CelEnv = {
  variables: new Map([['device', DEVICE]]),
  functions: kubernetesFunctions,
  typeNames: TYPE_NAMES,
  isHomogeneous: true,
}

const programs = new Map<string, Program>()

/** An expression that cannot be decided. */
export class DeviceExpressionError extends Error {}

/** Whether the expression chooses the device. Throws DeviceExpressionError. */
export function choosesDevice(expression: string, driver: string, device: SliceDevice): boolean {
  const outcome = programOf(expression).evaluate({ device: asValue(driver, device) }, DEVICE_COST_MAX)
  if (!outcome.ok) throw new DeviceExpressionError(`CEL runtime error: ${outcome.error}`)
  if (typeof outcome.value !== 'boolean')
    throw new DeviceExpressionError('CEL runtime error: expression did not evaluate to a bool')
  return outcome.value
}

function programOf(expression: string): Program {
  const known = programs.get(expression)
  if (known !== undefined) return known
  const compiled = compileExpression(expression, DEVICE_ENV)
  if (!compiled.ok) throw new DeviceExpressionError(`CEL compile error: ${compiled.message}`)
  if (programs.size >= PROGRAMS_MAX) programs.clear()
  programs.set(expression, compiled.program)
  return compiled.program
}

const asValue = (driver: string, device: SliceDevice): CelValue =>
  new LazyStruct(DEVICE, field => {
    switch (field) {
      case 'driver':
        return driver
      case 'attributes':
        return byDomain(driver, device.attributes ?? {}, attributeValue)
      case 'capacity':
        return byDomain(driver, device.capacity ?? {}, ({ value }) => quantityValue(value))
      default:
        return device.allowMultipleAllocations ?? false
    }
  })

function attributeValue({ bool, int, string, version }: DeviceAttribute): CelValue {
  if (bool !== undefined) return bool
  if (int !== undefined) return BigInt(int)
  if (version !== undefined) return semverValue(version)
  return string ?? null
}

/** Domains that the device says nothing of have nothing in them, so that `in` and `[]` can be asked of any. */
class Domains extends MapValue {
  readonly #known: LiteralMap

  constructor(known: LiteralMap) {
    super()
    this.#known = known
  }

  get size(): number {
    return this.#known.size
  }

  get(key: CelValue): CelValue | undefined {
    return this.#known.get(key) ?? (typeof key === 'string' ? new LiteralMap() : undefined)
  }

  keys(): readonly CelValue[] {
    return this.#known.keys()
  }
}

function byDomain<T>(
  driver: string,
  values: Readonly<Record<string, T>>,
  render: (value: T) => CelValue,
): CelValue {
  const domains = new LiteralMap()
  for (const [name, value] of Object.entries(values)) {
    const at = name.indexOf('/')
    const domain = at < 0 ? driver : name.slice(0, at)
    const known = domains.get(domain)
    const inside = known instanceof LiteralMap ? known : new LiteralMap()
    if (known === undefined) domains.add(domain, inside)
    inside.add(name.slice(at + 1), render(value))
  }
  return new Domains(domains)
}

/** The attribute of that full name; those of the driver's own domain may be written without it. */
export function attributeOf(device: SliceDevice, driver: string, name: string): DeviceAttribute | undefined {
  const known = device.attributes ?? {}
  const [domain, ...rest] = name.split('/')
  return known[name] ?? (domain === driver ? known[rest.join('/')] : undefined)
}
