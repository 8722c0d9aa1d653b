import { credentials } from '@grpc/grpc-js'
import { openConnection } from '../../src/cli/connection.js'

// A process that waits for one sync execution: sync-caller PORT FUNCTION ID
const [port, functionName = '', id = ''] = process.argv.slice(2)
const { agent } = openConnection(`127.0.0.1:${port}`, credentials.createInsecure())
agent.executeFunction({ function_name: functionName, execution_id: id }, () => process.exit(1))
