/** Which parts a node is to run, and with what parameters, out of the Addons. Pure. */
import { type Addon, isEnabled, type ParameterValues } from './addon-object.ts'
import type { Part } from './part.ts'

export interface PartPlan {
  /** The add-on whose status tells of it; null: there is none yet. */
  readonly addon: string | null
  /** The parameters to run with; null: it is not to run. */
  readonly run: ParameterValues | null
  /** What it kept on the node is to go. */
  readonly purge: boolean
  /** The add-on's status has something of this node. */
  readonly isTold: boolean
}

/** By the part's name. A part of two add-ons runs for the first one. */
export function planParts(
  parts: readonly Part[],
  addons: readonly Addon[],
  nodeName: string,
): ReadonlyMap<string, PartPlan> {
  const plans = new Map<string, PartPlan>()
  for (const part of parts) {
    const isTold = ({ status }: Addon) =>
      status?.nodes?.some(one => one.name === nodeName && one.part === part.name) ?? false
    const owners = addons.filter(
      ({ metadata, status }) => status?.parts?.includes(part.name) || metadata.name === part.name,
    )
    const running = owners.find(addon => isEnabled(addon) && addon.status?.parts?.includes(part.name))
    const stopped = owners.find(addon => !isEnabled(addon))
    if (running !== undefined) plans.set(part.name, runOf(running, isTold(running)))
    else if (stopped !== undefined) plans.set(part.name, stopOf(stopped, isTold(stopped)))
    else if (part.isDefault) plans.set(part.name, { addon: null, run: {}, purge: false, isTold: false })
    else plans.set(part.name, { addon: null, run: null, purge: false, isTold: false })
  }
  return plans
}

const runOf = ({ metadata, status }: Addon, isTold: boolean): PartPlan => ({
  isTold,
  addon: metadata.name ?? '',
  run: status?.parameters ?? {},
  purge: false,
})

const stopOf = ({ metadata, spec }: Addon, isTold: boolean): PartPlan => ({
  isTold,
  addon: metadata.name ?? '',
  run: null,
  purge: spec?.purge ?? false,
})
