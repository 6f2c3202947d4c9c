/** The text format of Prometheus, version 0.0.4 (pure). */

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly timeMs?: number
}

/** Families without samples are left out. */
export function renderFamilies(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, type, samples }) => {
      const lines = samples.map(({ labels, value, timeMs }) => {
        const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
        const stamp = timeMs === undefined ? '' : ` ${timeMs}`
        return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}${stamp}\n`
      })
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
    })
    .join('')
}

const escaped = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
