/** What people are shown of one add-on. Pure. */

import { renderColumns } from '../../cli/columns.ts'
import type { Addon, Correction, ParameterValue } from '../../runtime/addons/addon-object.ts'
import type { CatalogEntry } from '../../runtime/addons/catalog.ts'
import type { Parameter } from '../../runtime/addons/parameter.ts'

export function renderInfo({ repository, source }: CatalogEntry, addon: Addon | null): string {
  const { definition } = source
  const { status, spec } = addon ?? {}
  const isOn = addon === null ? definition.default : spec?.enabled !== false
  const state = isOn ? (status?.phase ?? 'enabled') : 'disabled'
  const line = (head: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`${head}: ${values.join(', ')}`]
  const message = [status?.failing, status?.message].filter(text => text !== undefined && text !== '')
  return [
    `${repository}/${definition.name} ${definition.version}: ${definition.description}`,
    `state: ${[state, ...message].join(': ')}`,
    ...(isOn ? line('enabled version', [spec?.version ?? definition.version]) : []),
    ...line('aliases', definition.aliases),
    ...line('needs', definition.dependencies),
    ...line('platforms', definition.platforms),
    ...line('runtimes', definition.runtimes),
    ...line('images', definition.images),
    ...parameterLines(definition.parameters, isOn ? (status?.parameters ?? {}) : {}),
    ...(status?.nodes ?? []).map(
      ({ name, part, ready, message }) =>
        `part ${part} on ${name}: ${[...(ready ? ['ready'] : []), ...(message ? [message] : [])].join(', ')}`,
    ),
    ...(status?.corrections ?? []).map(correctionLine),
  ].join('\n')
}

function correctionLine({ object, by, count, time }: Correction): string {
  const who = by === '' ? 'it had been changed' : `${by} had changed it`
  return `put back: ${object} at ${time}, ${who}${count > 1 ? ` (${count} times in a row)` : ''}`
}

function parameterLines(
  parameters: readonly Parameter[],
  now: Readonly<Record<string, ParameterValue>>,
): string[] {
  if (parameters.length === 0) return []
  const show = (value: ParameterValue | undefined) => (value === undefined ? '' : JSON.stringify(value))
  const rows = parameters.map(({ name, type, values, description, default: preset }) => [
    ...[
      name,
      values === undefined ? type : values.join('|'),
      preset === undefined ? 'required' : show(preset),
    ],
    ...[show(now[name]), description],
  ])
  return ['', renderColumns([['PARAMETER', 'TYPE', 'DEFAULT', 'NOW', 'MEANING'], ...rows])]
}
