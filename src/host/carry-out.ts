/** Carries out the steps of an install plan; what belongs to higher layers comes in as actions. */
import { dirname } from 'node:path'
import { makeDirectory, readIfThere, writeFileDurably } from './files.ts'
import { installPackages } from './packages.ts'
import type { InstallPresent, InstallStep } from './plan.ts'
import { makePrivate, modeOfDirectory } from './private-directory.ts'

export interface InstallActions {
  /** Makes missing keys and certificates; true when there were any. */
  ensureKeys(directory: string): Promise<boolean>
  renderKubeconfig(): Promise<string>
  start(): Promise<void>
  /** Starts the running daemon again when it uses keys or files that were made anew; false when it does not. */
  restartIfOutdated(): Promise<boolean>
  waitUntilReady(timeoutMs: number): Promise<void>
}

/** True when the step changed something on the machine. */
export async function carryOutStep(step: InstallStep, actions: InstallActions): Promise<boolean> {
  switch (step.kind) {
    case 'packages':
      await installPackages(step.names)
      return true
    case 'directory':
      await makePrivate(step.path, step.mode, step.groupId)
      return true
    case 'file':
      makeDirectory(dirname(step.path), 0o755)
      writeFileDurably(step.path, step.content, step.mode)
      return true
    case 'keys':
      return actions.ensureKeys(step.directory)
    case 'kubeconfig': {
      const content = await actions.renderKubeconfig()
      if (readIfThere(step.path) === content) return false
      writeFileDurably(step.path, content, 0o600)
      return true
    }
    case 'start':
      await actions.start()
      return true
    case 'restart':
      return actions.restartIfOutdated()
    case 'ready':
      await actions.waitUntilReady(step.timeoutMs)
      return false
  }
}

/** What of an installation is there. */
export function lookAtPresent(
  paths: { readonly directories: readonly string[]; readonly files: readonly string[] },
  serviceActive: boolean,
): InstallPresent {
  const directoryModes = new Map<string, number | 'as-made'>()
  for (const path of paths.directories) {
    const mode = modeOfDirectory(path)
    if (mode !== undefined) directoryModes.set(path, mode)
  }
  const files = new Map<string, string>()
  for (const path of paths.files) {
    const content = readIfThere(path)
    if (content !== undefined) files.set(path, content)
  }
  return { directoryModes, files, serviceActive }
}
