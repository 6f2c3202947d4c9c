/** The plain selector of services and nodes: pairs that must all be there. */

export type Labels = Readonly<Record<string, string>> | undefined

/** True when every pair of `wanted` is in `labels`; an empty `wanted` matches everything. */
export function hasLabels(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => labels?.[key] === value)
}
