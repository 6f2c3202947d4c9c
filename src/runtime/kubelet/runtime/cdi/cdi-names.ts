/** Full names of CDI devices, `vendor/class=name`, and the annotations that older runtimes take them from (pure). */

const KIND = /^[A-Za-z]([\w.-]*[A-Za-z0-9])?\/[A-Za-z]([\w.-]*[A-Za-z0-9])?$/
const DEVICE = /^[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?$/

export interface CdiName {
  /** `vendor/class`. */
  readonly kind: string
  readonly device: string
}

/** Throws an Error when it is none. */
export function parseName(text: string): CdiName {
  const at = text.indexOf('=')
  const name = { kind: text.slice(0, at), device: text.slice(at + 1) }
  if (at > 0 && KIND.test(name.kind) && DEVICE.test(name.device)) return name
  throw new Error(`invalid CDI device name ${JSON.stringify(text)}`)
}

const PREFIX = 'cdi.k8s.io/'
/** Ours; a device plugin's own annotations have others. */
const OWN_ANNOTATION = `${PREFIX}mk8s_devices`

/** For a runtime that knows no field for them. */
export const annotateDevices = (ids: readonly string[]): Record<string, string> =>
  ids.length === 0 ? {} : { [OWN_ANNOTATION]: ids.join(',') }

export function annotatedDevices(annotations: Readonly<Record<string, string>>): string[] {
  const said = Object.entries(annotations).filter(([name]) => name.startsWith(PREFIX))
  return said.flatMap(([, value]) => value.split(','))
}
