/** ComponentStatuses, which are answered and not kept: whether what a control plane is made of does its work. */
import { column, nameColumn, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'

interface ComponentStatus {
  metadata: { name?: string }
  conditions?: { type: string; status: string; message?: string; error?: string }[]
}

export const componentStatuses: Strategy = defineKind({
  group: '',
  resource: 'componentstatuses',
  hasGeneration: false,
  table: tableOf<ComponentStatus>(
    [
      nameColumn,
      column('Status', 'Whether it works'),
      column('Message', 'What it says'),
      column('Error', 'Why it does not work'),
    ],
    ({ metadata, conditions = [] }) => {
      const healthy = conditions.find(({ type }) => type === 'Healthy')
      const status = healthy === undefined ? 'Unknown' : healthy.status === 'True' ? 'Healthy' : 'Unhealthy'
      return [metadata.name ?? '', status, healthy?.message ?? '', healthy?.error ?? '']
    },
  ),
})
