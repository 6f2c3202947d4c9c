/** Says in a FlowSchema's status whether the priority level that it names is there. */
import { keyOf } from '../../../client/informer.ts'
import { isConflict, isNotFound } from '../../../client/kube-client.ts'
import { FLOW_SCHEMAS, PRIORITY_LEVELS } from '../../../client/resources.ts'
import { formatTime } from '../../../kube/time.ts'
import type { FlowSchema, PriorityLevelConfiguration } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { withDangling } from './plan.ts'

const NAME = 'flow-schema-status-controller'

export function createFlowSchemaStatusController(context: ControllerContext): Controller {
  const client = context.serverClient
  const schemas = context.informers.informer<FlowSchema>(FLOW_SCHEMAS)
  const levels = context.informers.informer<PriorityLevelConfiguration>(PRIORITY_LEVELS)
  return keyedController({
    name: NAME,
    context,
    workers: 1,
    sources: [
      keysFrom(schemas, schema => [keyOf(schema)]),
      keysFrom(levels, level =>
        schemas
          .list()
          .filter(({ spec }) => spec?.priorityLevelConfiguration.name === level.metadata.name)
          .map(keyOf),
      ),
    ],
    async reconcile(name, signal) {
      const schema = schemas.get(name)
      if (schema === undefined) return undefined
      const level = schema.spec?.priorityLevelConfiguration.name ?? ''
      const next = withDangling(schema, levels.get(level) !== undefined, formatTime(context.clock.now()))
      if (next === null) return undefined
      try {
        const updated = await client.update(FLOW_SCHEMAS, next, { subresource: 'status' })
        await schemas.caughtUp(updated.metadata.resourceVersion, signal)
      } catch (error) {
        // What has changed meanwhile comes back as a change.
        if (!isNotFound(error) && !isConflict(error)) throw error
      }
      return undefined
    },
  })
}
