// Prints all that java.sql.DatabaseMetaData says of two schemas: a line for each row of each answer.
// Arguments: pgjdbc's URL, then user and password on standard input, a line each.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;

public class Metadata {
    private interface Question {
        ResultSet ask() throws SQLException;
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        String user = in.readLine();
        String password = in.readLine();
        try (Connection connection = DriverManager.getConnection(arguments[0], user, password)) {
            DatabaseMetaData data = connection.getMetaData();
            tell("version", data.getDatabaseProductVersion());
            tell("catalogs", data::getCatalogs);
            tell("table types", data::getTableTypes);
            tell("type info", data::getTypeInfo);
            for (String schema : new String[] {"public", "stock"}) {
                tell("schemas", () -> data.getSchemas(null, schema));
                tell("tables", () -> data.getTables(null, schema, "%", null));
                tell("columns", () -> data.getColumns(null, schema, "%", "%"));
                tell("functions", () -> data.getFunctions(null, schema, "%"));
                tell("function columns", () -> data.getFunctionColumns(null, schema, "%", "%"));
                tell("procedures", () -> data.getProcedures(null, schema, "%"));
                tell("types", () -> data.getUDTs(null, schema, "%", null));
                tell("table privileges", () -> data.getTablePrivileges(null, schema, "%"));
                for (String table : new String[] {"customers", "countries", "orders", "people", "items", "contacts"}) {
                    tell("primary keys", () -> data.getPrimaryKeys(null, schema, table));
                    tell("imported keys", () -> data.getImportedKeys(null, schema, table));
                    tell("exported keys", () -> data.getExportedKeys(null, schema, table));
                    tell("indexes", () -> data.getIndexInfo(null, schema, table, false, false));
                    tell("version columns", () -> data.getVersionColumns(null, schema, table));
                    tell("row ids", () -> data.getBestRowIdentifier(null, schema, table, 0, true));
                    tell("column privileges", () -> data.getColumnPrivileges(null, schema, table, "%"));
                }
            }
            for (String table : new String[] {"customers", "orders", "people", "contacts", "stock.items"}) {
                describe(connection, table);
            }
        }
    }

    /** What an empty result says of its columns: names, types, whose they are, whether they may be NULL or written. */
    private static void describe(Connection connection, String table) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT * FROM " + table + " WHERE false")) {
            ResultSetMetaData data = rows.getMetaData();
            for (int at = 1; at <= data.getColumnCount(); at++) {
                tell(
                        "result " + table,
                        data.getColumnLabel(at) + "|" + data.getColumnTypeName(at) + "|" + data.getPrecision(at) + "|"
                                + data.getScale(at) + "|" + data.isNullable(at) + "|" + data.isAutoIncrement(at) + "|"
                                + data.getTableName(at) + "|" + data.getSchemaName(at));
            }
        }
    }

    private static void tell(String what, Question question) throws SQLException {
        try (ResultSet rows = question.ask()) {
            int columns = rows.getMetaData().getColumnCount();
            while (rows.next()) {
                StringBuilder line = new StringBuilder();
                for (int at = 1; at <= columns; at++) {
                    line.append(rows.getString(at)).append('|');
                }
                tell(what, line.toString());
            }
        }
    }

    private static void tell(String what, String said) {
        System.out.println(what + ": " + said);
    }
}
