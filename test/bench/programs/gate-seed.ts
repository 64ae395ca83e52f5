import { DatabaseSync } from 'node:sqlite'

/** The gateway token of the benchmarks. */
export const BENCH_TOKEN = 'Zk3vQ9xTn5Lw8sRb2HcYd7Gf4JmPa6Ke1UoXiVtSqWe'

/** So many approved devices, each with a grant, written past the store. */
export function seedDevices(path: string, count: number): void {
  if (count === 0) return
  const database = new DatabaseSync(path)
  database.exec(`
    BEGIN;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO device (device_id, public_key, name, standing, registered_by, created_at_ms)
      SELECT lower(hex(randomblob(32))), substr(hex(randomblob(32)), 1, 43), 'device ' || i, 'approved', 'request', 0 FROM n;
    INSERT INTO device_role (device_id, role, grant_scopes)
      SELECT device_id, 'operator', 'operator.read operator.write' FROM device;
    COMMIT;`)
  database.close()
}
