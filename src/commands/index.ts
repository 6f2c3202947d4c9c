/** The command map: every command by its words, loaded when it is asked for. */
import type { CommandMap } from '../cli/oclif-config.ts'

export const commands: CommandMap = {
  install: async () => (await import('./install.ts')).Install,
  start: async () => (await import('./start.ts')).Start,
  stop: async () => (await import('./stop.ts')).Stop,
  status: async () => (await import('./status.ts')).Status,
  inspect: async () => (await import('./inspect.ts')).Inspect,
  leave: async () => (await import('./leave.ts')).Leave,
  'remove-node': async () => (await import('./remove-node.ts')).RemoveNode,
  config: async () => (await import('./config.ts')).Config,
  kubectl: async () => (await import('./kubectl.ts')).Kubectl,
  helm: async () => (await import('./helm.ts')).Helm,
  reset: async () => (await import('./reset.ts')).Reset,
  uninstall: async () => (await import('./uninstall.ts')).Uninstall,
  recover: async () => (await import('./recover.ts')).Recover,
  version: async () => (await import('./version.ts')).Version,
  daemon: async () => (await import('./daemon.ts')).Daemon,
  'images:import': async () => (await import('./images/import.ts')).ImagesImport,
  'images:list': async () => (await import('./images/list.ts')).ImagesList,
  'images:remove': async () => (await import('./images/remove.ts')).ImagesRemove,
  'datastore:status': async () => (await import('./datastore/status.ts')).DatastoreStatus,
  'datastore:members': async () => (await import('./datastore/members.ts')).DatastoreMembers,
  'datastore:check': async () => (await import('./datastore/check.ts')).DatastoreCheck,
  'datastore:compact': async () => (await import('./datastore/compact.ts')).DatastoreCompact,
  'options:show': async () => (await import('./options/show.ts')).OptionsShow,
}
