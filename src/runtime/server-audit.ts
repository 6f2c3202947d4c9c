/** Builds the audit log of an API server, where the node's configuration names a policy. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { type Audit, createAudit } from './apiserver/audit/audit.ts'
import { createAuditFile } from './apiserver/audit/log-file.ts'
import { parsePolicy } from './apiserver/audit/policy.ts'

export interface AuditParts {
  readonly config: NodeConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function buildAudit({ config, clock, random, log }: AuditParts): {
  readonly audit?: Audit
  readonly components: readonly Component[]
} {
  const { auditPolicyFile: policyFile, ...options } = config.apiServer ?? {}
  if (policyFile === undefined) return { components: [] }
  const policy = parsePolicy(readConfigured(policyFile), policyFile)
  const file = createAuditFile({
    path: join(config.dataDir, 'audit/audit.log'),
    maxSizeMiB: Number(options['auditLogMaxSize'] ?? 100),
    maxBackups: Number(options['auditLogMaxBackup'] ?? 10),
    maxAgeDays: Number(options['auditLogMaxAge'] ?? 30),
    clock,
    log,
  })
  return {
    audit: createAudit({ policy, write: line => file.write(line), clock, random }),
    components: [file],
  }
}

/** A file that an option of the API server names. */
export function readConfigured(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Mk8sError('config/unreadable', `cannot read ${path}`, {
      why: messageOf(error),
      hint: 'an option of the API server names it; see config.yaml in the data directory',
      cause: error,
    })
  }
}
