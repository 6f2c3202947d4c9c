/** The tables under `/debug/api_priority_and_fairness/`, as kube-apiserver prints them: columns joined by commas. */
import { formatTime } from '../../../kube/time.ts'
import type { PriorityLevel } from './priority-level.ts'

const PATH = '/debug/api_priority_and_fairness/'

/** Null: there is no such table. */
export function dumpOf(path: string, levels: readonly PriorityLevel[], nowMs: number): string | null {
  if (!path.startsWith(PATH)) return null
  const sorted = [...levels].sort((a, b) => (a.config.name < b.config.name ? -1 : 1))
  switch (path.slice(PATH.length)) {
    case 'dump_priority_levels':
      return table(levelColumns, sorted.map(levelRow))
    case 'dump_queues':
      return table(queueColumns, sorted.flatMap(queueRows))
    case 'dump_requests':
      return table(
        requestColumns,
        sorted.flatMap(level => requestRows(level, nowMs)),
      )
    default:
      return null
  }
}

type Row = readonly (string | number | boolean)[]

const table = (columns: Row, rows: readonly Row[]): string =>
  [columns, ...rows].map(row => `${row.join(', ')}\n`).join('')

const levelColumns = [
  'PriorityLevelName',
  'ActiveQueues',
  'IsIdle',
  'IsQuiescing',
  'WaitingRequests',
  'ExecutingRequests',
  'DispatchedRequests',
  'RejectedRequests',
  'TimedoutRequests',
  'CancelledRequests',
]

function levelRow({ config, queues, counts }: PriorityLevel): Row {
  const active = queues.queues.filter(({ waiting, executing }) => waiting.length + executing > 0).length
  const isIdle = queues.executing + queues.waiting === 0
  const { dispatched, rejected, timedOut, cancelled } = counts
  const now = [active, isIdle, false, queues.waiting, queues.executing]
  return [config.name, ...now, dispatched, rejected, timedOut, cancelled]
}

const queueColumns = [
  'PriorityLevelName',
  'Index',
  'PendingRequests',
  'ExecutingRequests',
  'SeatsInUse',
  'NextDispatchR',
]

const queueRows = ({ config, queues }: PriorityLevel): Row[] =>
  queues.queues.map((queue, at) => [
    config.name,
    at,
    queue.waiting.length,
    queue.executing,
    queue.seats,
    `${queue.nextR.toFixed(8)}ss`,
  ])

const requestColumns = [
  'PriorityLevelName',
  'FlowSchemaName',
  'QueueIndex',
  'RequestIndexInQueue',
  'FlowDistingsher',
  'ArriveTime',
  'InitialSeats',
]

function requestRows({ config, queues, nowMs: levelNow }: PriorityLevel, nowMs: number): Row[] {
  return queues.queues.flatMap((queue, at) =>
    queue.waiting.map(({ schema, distinguisher, arrivedMs, seats }, place) => {
      const arrived = formatTime(nowMs - (levelNow() - arrivedMs))
      return [config.name, schema, at, place, distinguisher, arrived, seats]
    }),
  )
}
