/** How health checks went whenever somebody asked for them: what /metrics/slis tells, under upstream's names. */

interface HealthFigure {
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter'
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Figure {
  readonly name: string
  readonly type: string
  isGood: boolean
  good: number
  bad: number
}

export class HealthFigures {
  readonly #figures = new Map<string, Figure>()

  /** `type`: the path that was asked for: healthz, livez or readyz. Checks are few, and their names ours. */
  record(type: string, name: string, isGood: boolean): void {
    const key = `${type} ${name}`
    const figure = this.#figures.get(key) ?? { name, type, isGood, good: 0, bad: 0 }
    figure.isGood = isGood
    if (isGood) figure.good += 1
    else figure.bad += 1
    this.#figures.set(key, figure)
  }

  metrics(): readonly HealthFigure[] {
    const all = [...this.#figures.values()]
    const state = 'This metric records the result of a single healthcheck.'
    const counted = 'This metric records the results of all healthcheck.'
    return [
      ...all.map(
        ({ name, type, isGood }): HealthFigure => ({
          ...{ name: 'kubernetes_healthcheck', help: `[STABLE] ${state}`, type: 'gauge' },
          ...{ labels: { name, type }, value: Number(isGood) },
        }),
      ),
      ...all.flatMap(({ name, type, good, bad }) =>
        ([['error', bad] as const, ['success', good] as const] as const).flatMap(([status, value]) =>
          value === 0
            ? []
            : {
                ...{ name: 'kubernetes_healthchecks_total', help: `[STABLE] ${counted}` },
                ...{ type: 'counter' as const, labels: { name, status, type }, value },
              },
        ),
      ),
    ]
  }
}
