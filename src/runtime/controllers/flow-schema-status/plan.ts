/** The condition `Dangling` of a FlowSchema, in kube-apiserver's words. Pure. */
import type { FlowSchema } from '../../../kube/types.ts'

const TYPE = 'Dangling'

/** The schema with the condition as it should be; null when it is so already. */
export function withDangling(schema: FlowSchema, hasLevel: boolean, now: string): FlowSchema | null {
  const level = schema.spec?.priorityLevelConfiguration.name ?? ''
  const named = `This FlowSchema references the PriorityLevelConfiguration object named "${level}"`
  const wanted = {
    status: hasLevel ? 'False' : 'True',
    reason: hasLevel ? 'Found' : 'NotFound',
    message: hasLevel ? `${named} and it exists` : `${named} but there is no such object`,
  }
  const conditions = schema.status?.conditions ?? []
  const known = conditions.find(({ type }) => type === TYPE)
  const isSame =
    known?.status === wanted.status && known.reason === wanted.reason && known.message === wanted.message
  if (isSame) return null
  const lastTransitionTime = known?.status === wanted.status ? (known.lastTransitionTime ?? now) : now
  const others = conditions.filter(({ type }) => type !== TYPE)
  const condition = { type: TYPE, ...wanted, lastTransitionTime }
  return { ...schema, status: { ...schema.status, conditions: [...others, condition] } }
}
